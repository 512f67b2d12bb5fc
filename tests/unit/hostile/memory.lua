--# MEMORY: a text that doubles
local s = "x" while true do s = s .. s end
--# MEMORY: a text that doubles on the left
local s = "x" while true do s = s .. s .. "y" .. s end
--# MEMORY: rep
return ("x"):rep(1 << 30)
--# RAISED MEMORY: rep beyond all
return ("xx"):rep(math.maxinteger)
--# MEMORY RAISED: rep with a separator
return (""):rep(1 << 22, ("y"):rep(1000))
--# DONE: rep of nothing
return #(""):rep(1 << 60) ~= 0 and "something" or nil
--# SPENT MEMORY: rep of nothing with nothing between
while true do (""):rep(1e8, "") end
--# MEMORY: a table that grows
local t = {} for i = 1, math.maxinteger do t[i] = i end
--# MEMORY SPENT: a table with texts as keys
local t = {} for i = 1, math.maxinteger do t["k" .. i] = i end
--# MEMORY: a table with fractions as keys
local t = {} for i = 1, math.maxinteger do t[i + 0.5] = true end
--# MEMORY: a list of lists
local t = {} while true do t = { t, t } end
--# MEMORY: tables in tables
local t = {} while true do t[#t + 1] = {} end
--# MEMORY: closures
local t = {} while true do local n = #t t[n + 1] = function() return n end end
--# MEMORY: upvalues
local t = {} while true do local a, b, c = {}, {}, {} t[#t + 1] = function() return a, b, c end end
--# SPENT: only garbage
while true do local t = {} for i = 1, 100 do t[i] = {} end end
--# SPENT: garbage of texts
local i = 0 while true do i = i + 1 local _ = "k" .. i end
--# SPENT MEMORY RAISED: Lua's stack
local function f() return f() + 1 end return f()
--# SPENT MEMORY RAISED: Lua's stack, wide
local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, 9, ...) + 1 end return f()
--# SPENT MEMORY RAISED: arguments that grow with each tail call
local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...) end return f()
--# SPENT RAISED: many arguments, many times
local t = {} for i = 1, 4000 do t[i] = i end
local function f(...) while true do local _ = select("#", ...) end end
while true do pcall(function() f(table.unpack(t)) end) end
--# SPENT RAISED: many arguments packed
local t = {} for i = 1, 4000 do t[i] = i end
local function f(...) while true do local _ = { ... } end end
while true do pcall(function() f(table.unpack(t)) end) end
--# SPENT RAISED MEMORY: unpack of everything
return table.unpack({}, 1, 1 << 40)
--# RAISED SPENT: unpack of the largest range
return table.unpack({}, math.mininteger, math.maxinteger)
--# SPENT RAISED: move of everything
table.move({}, 1, 1 << 40, 2)
--# SPENT RAISED: move of the largest range
table.move({}, math.mininteger, -1, 1)
--# SPENT RAISED: concat of everything
return table.concat({}, "", 1, 1 << 40)
--# MEMORY SPENT: concat with a separator of a megabyte
local t = {} for i = 1, 1000 do t[i] = "" end
return table.concat(t, ("x"):rep(1000000))
--# MEMORY: concat of one text many times
local s, t = ("x"):rep(100000), {}
for i = 1, 1000 do t[i] = s end
return table.concat(t)
--# RAISED: a format wider than formats are
return ("%999999999d"):format(1)
--# DONE: the widest format
return #("%99.99f"):format(1e308) > 500 and "wide" or nil
--# MEMORY SPENT: format of a text many times
local s = ("x"):rep(1000000)
return ("%s"):rep(100):format(table.unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))
--# RAISED: %q
local s = ("\0"):rep(1000000)
while true do s = ("%q"):format(s) end
--# MEMORY SPENT RAISED: pack of a wide alignment
local t = {} while true do t[#t + 1] = ("!16 s8 Xi16"):pack(("x"):rep(100000)) end
--# RAISED MEMORY SPENT: pack of a format without end
return ("i16"):rep(1000000):pack(1)
--# MEMORY SPENT: gsub that doubles
local s = "xx" while true do s = s:gsub("x", "%0%0") end
--# MEMORY SPENT: gsub with a large text
return (("x"):rep(1000):gsub("x", ("y"):rep(1000000)))
--# MEMORY SPENT: gsub of nothing with a large text
return (("x"):rep(100000):gsub("", ("y"):rep(10000)))
--# MEMORY SPENT: gsub with the whole text for each letter
local s = ("x"):rep(10000) return (s:gsub("x", { x = s }))
--# SPENT MEMORY: utf8.char of many
local t = {} for i = 1, 4000 do t[i] = 0x10FFFF end
local all = {} while true do all[#all + 1] = utf8.char(table.unpack(t)) end
--# SPENT MEMORY: string.char of many
local t = {} for i = 1, 4000 do t[i] = 65 end
local all = {} while true do all[#all + 1] = string.char(table.unpack(t)) end
--# SPENT MEMORY RAISED: every byte of a long text
return ("x"):rep(2000000):byte(1, -1)
--# SPENT MEMORY RAISED: every codepoint of a long text
return utf8.codepoint(("x"):rep(2000000), 1, -1)
--# MEMORY SPENT: upper of many
local t = {} while true do t[#t + 1] = ("x"):rep(100000 + #t):upper() end
--# MEMORY SPENT RAISED: JSON of a table that contains itself many times
local tael = require "tael"
local t = {} for _ = 1, 40 do t = { t, t } end
tael.json.encode(t)
--# RAISED: JSON of a circle
local tael = require "tael"
local t = {} t[1] = t
tael.json.encode(t)
--# RAISED: JSON nested deeply
local tael = require "tael"
local _, why = tael.json.decode(("["):rep(100000))
error(why)
--# MEMORY SPENT: JSON decoded and kept
local tael = require "tael"
local text, kept = "[" .. ("[],"):rep(5000) .. "[]]", {}
while true do kept[#kept + 1] = tael.json.decode(text) end
--# SPENT MEMORY: garbage where nearly nothing is left
local kept = {} for i = 1, 100000 do kept[i] = { {} } end
while true do local _ = ("x"):rep(60000) .. #kept end
--# SPENT: small garbage where nearly nothing is left
local kept = {} for i = 1, 100000 do kept[i] = { {} } end
while true do local _ = { {}, {} } end
--# SPENT: taken and given back in a full table
local t = {}
for i = 1, 4096 do t["k" .. i] = i end
for i = 1, math.maxinteger do t["k" .. i] = nil t["k" .. i + 4096] = i end
--# SPENT: one key more and one less
local t, n = {}, 4096
for i = 1, n do t[i + 0.5] = i end
for i = 1, math.maxinteger do t[i + 0.5] = nil t[i + n + 0.5] = i end
--# DONE: texts as large as the keys that a table may not have
local s = ("x"):rep(98304) .. ("x"):rep(98304)
local all = { s:rep(1), s:upper():lower(), ("%s"):format(s), ("%6s"):format(s), s:gsub("^y", ""),
    s:gsub(".+", "%0"), table.concat { s }, string.pack("s4", s):sub(5) }
for i, text in ipairs(all) do
    if text ~= s and text ~= 1 and text ~= 0 then return i end
end
return #("x"):rep(786432) ~= 786432 and "rep" or nil
--# DONE: lists as large
for _, n in ipairs { 12288, 24576 } do
    local t = {} for i = 1, n do t[i] = n - i end
    table.sort(t)
    if t[1] ~= 0 or t[n] ~= n - 1 then return n end
end
--# MEMORY: so many keys, inside a function that makes texts
return ("x"):gsub("x", function() local t = {} for i = 1, 8192 do t[i + 0.5] = i end end)
--# MEMORY: so many keys at once, of what was a list
local t = {}
for i = 1, 65536 do t[i] = i end
for i = 1, 65536 do if i % 16 > 0 then t[i] = nil end end
return ("x"):gsub("x", function() t.one = 1 for i = 1, 8192 do t[i + 0.5] = i end end)
