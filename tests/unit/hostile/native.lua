--# SPENT RAISED: a pattern that goes back
return ("a"):rep(30000):find(("a-"):rep(30) .. "b")
--# SPENT RAISED: a pattern of four repetitions
return ("a"):rep(100000):match(".-.-.-.-b")
--# SPENT RAISED: a pattern of greedy repetitions
return ("a"):rep(100000):find(("a*"):rep(30) .. "b")
--# SPENT RAISED: optional letters
return ("a"):rep(100000):gsub(("a?"):rep(100) .. "b", "")
--# SPENT: brackets that are never closed
for _ in ("("):rep(100000):gmatch("%b()") do end
--# SPENT: a frontier at every place
while true do ("a "):rep(50000):find("%f[%d]") end
--# SPENT RAISED: what was captured, again
return ("a"):rep(100000):find("(a*)%1b")
--# SPENT RAISED: captures of captures
return ("ab"):rep(50000):find("(.*)(.*)(.*)%3%2%1c")
--# SPENT: a plain search that nearly finds
local s = ("a"):rep(1000000)
while true do s:find(("a"):rep(500000) .. "b", 1, true) end
--# SPENT: plain searches for a letter
local s = ("a"):rep(1000000)
while true do s:find("b", 1, true) end
--# SPENT: a set of many letters
local s = ("a"):rep(100000)
while true do s:find("[" .. ("b"):rep(100000) .. "]") end
--# SPENT: a set of many classes
local set = "[" .. ("%d"):rep(50000) .. "]"
local s = ("a"):rep(100000)
while true do s:find(set) end
--# SPENT: a long set that is passed over
local pattern = ("[" .. ("b"):rep(1000) .. "]?"):rep(100)
while true do ("a"):rep(1000):match(pattern) end
--# SPENT: a long set at a frontier
local pattern = "%f[" .. ("b"):rep(100000) .. "]"
local s = ("a"):rep(100000)
while true do s:find(pattern) end
--# SPENT: a long pattern looked through for being plain
local pattern = ("b"):rep(1000000)
while true do ("a"):find(pattern) end
--# SPENT RAISED: a pattern nested deeply
while true do ("a"):rep(100000):match(("(a"):rep(31) .. (")"):rep(31) .. ".-b") end
--# RAISED: a pattern too long for the depth
return ("a"):rep(10000):match(("a?"):rep(10000) .. ("a"):rep(10000))
--# SPENT: gmatch that finds little
local s = ("a"):rep(1000000)
while true do for _ in s:gmatch("b") do end end
--# SPENT: gsub that replaces nothing
local s = ("a"):rep(1000000)
while true do s:gsub("b", "") end
--# SPENT: gsub with a long replacement that is not used
local s, long = ("a"):rep(1000), ("x"):rep(1000000)
while true do s:gsub("b", long) end
--# SPENT: sorting without an order
local t = {} for i = 1, 1000 do t[i] = i end
while true do pcall(table.sort, t, function() return true end) end
--# SPENT: sorting with an order of chance
local t, n = {}, 1
for i = 1, 10000 do t[i] = i end
while true do pcall(table.sort, t, function() n = (n * 16807) % 2147483647 return n % 2 == 0 end) end
--# SPENT: sorting what kills quicksort
local t = {} for i = 1, 100000 do t[i] = i end
while true do table.sort(t) end
--# SPENT: sorting equal texts
local s, t = ("x"):rep(1000), {}
for i = 1, 5000 do t[i] = s .. (i % 10) end
while true do for i = 1, 5000 do t[i] = s .. (i * 7919 % 5000) end table.sort(t) end
--# SPENT: sorting long texts that differ at their end
local s, t = ("x"):rep(100000), {}
for i = 1, 100 do t[i] = s .. (i * 7919 % 100) end
while true do table.sort(t, function(a, b) return a > b end) table.sort(t) end
--# SPENT: insert at the front
local t = {} for i = 1, 100000 do t[i] = i end
while true do table.insert(t, 1, 1) table.remove(t, 1) end
--# RAISED SPENT: insert into a table that tells its length
table.insert(setmetatable({}, { __len = function() return 1 << 40 end }), 1, 1)
--# DONE: a late __len for insert
local mt = {}
local t = setmetatable({}, mt)
mt.__len = function() return 1 << 40 end
table.insert(t, 1, 1)
--# DONE: a late __len for sort
local mt = {}
local t = setmetatable({}, mt)
mt.__len = function() return (1 << 31) - 2 end
table.sort(t)
--# RAISED SPENT: a late __len for concat
local mt = { __index = function() return "" end }
local t = setmetatable({}, mt)
mt.__len = function() return 1 << 40 end
table.concat(t)
--# RAISED SPENT: an inherited __len for unpack
local t = setmetatable({}, { __len = setmetatable({}, { __call = function() return 1 << 40 end }) })
table.unpack(t)
--# SPENT: concat of a long table
local t = {} for i = 1, 100000 do t[i] = "x" end
while true do table.concat(t) end
--# SPENT: concat of nothing in a long table
local t = {} for i = 1, 100000 do t[i] = "" end
while true do table.concat(t, "", 1, 100000) end
--# SPENT: concat of numbers
local t = {} for i = 1, 100000 do t[i] = 0.1 end
while true do table.concat(t, "") end
--# SPENT: move onto itself
local t = {} for i = 1, 100000 do t[i] = i end
while true do table.move(t, 1, 100000, 2) table.move(t, 2, 100001, 1) end
--# SPENT: unpack and throw away
local t = {} for i = 1, 4000 do t[i] = i end
while true do select(-1, table.unpack(t)) end
--# SPENT: select one by one
local t = {} for i = 1, 4000 do t[i] = i end
local function f(...) for i = 1, select("#", ...) do select(i, ...) end end
while true do f(table.unpack(t)) end
--# SPENT: the largest of many
local t = {} for i = 1, 4000 do t[i] = i end
while true do math.max(table.unpack(t)) end
--# RAISED: select of less than there is
return select(-2, 1)
--# RAISED: select of nothing
return select(math.mininteger)
--# SPENT: numbers in long texts
local s = (" "):rep(1000000)
while true do tonumber(s) end
--# SPENT: numbers in long texts with a base
local s = ("1"):rep(1000000)
while true do tonumber(s, 2) end
--# SPENT: hexadecimal without end
local s = "0x" .. ("f"):rep(1000000)
while true do tonumber(s) end
--# SPENT: digits without end
local s = ("1"):rep(1000000)
while true do tonumber(s) end
--# SPENT: digits behind the point without end
local s = "0." .. ("1"):rep(1000000)
while true do tonumber(s) end
--# SPENT: bits of long texts
local s = (" "):rep(1000000)
while true do pcall(function() return s & 1 end) end
--# SPENT: bits of a long text that is a number
local s = (" "):rep(500000) .. "1"
while true do pcall(function() return 1 | s end) end
--# SPENT: a loop to a long text
local s = (" "):rep(500000) .. "1"
while true do for _ = 2, s do end end
--# SPENT: long texts compared
local a, b = ("x"):rep(500000) .. "a", ("x"):rep(500000) .. "b"
while true do local _ = a < b end
--# SPENT: long texts told apart
local a, b = ("x"):rep(500000) .. "a", ("x"):rep(500000) .. "b"
while true do local _ = a == b end
--# SPENT: long texts as keys
local a = ("x"):rep(500000)
local t = { [a .. "a"] = 1 }
local key = a .. "a"
while true do local _ = t[key] end
--# SPENT: rawequal of long texts
local a, b = ("x"):rep(500000) .. "a", ("x"):rep(500000) .. "b"
while true do rawequal(a, b) end
--# RAISED: a long way up the __index
local t = {}
for _ = 1, 1990 do t = setmetatable({}, { __index = t }) end
while true do local _ = t.x end
--# SPENT RAISED: a long way up the __index, built from its end
local top = {}
local t = top
for _ = 1, 1990 do local below = {} setmetatable(t, { __index = below }) t = below end
while true do local _ = top.x end
--# SPENT RAISED: a long way up the __newindex
local t = {}
for _ = 1, 1990 do t = setmetatable({}, { __newindex = t }) end
while true do t.x = nil end
--# RAISED: a circle of __index
local a, b = {}, {}
setmetatable(a, { __index = b })
setmetatable(b, { __index = a })
return a.x
--# SPENT: large remainders of no powers by an operator
local a, b = 1e308, 1e-308
while true do local _ = a % b end
--# SPENT: an iterator of codes, by hand
local s = "x" .. ("\xBF"):rep(1000000)
local f = utf8.codes(s)
while true do pcall(f, s, 1) end
--# SPENT: a length in a table with holes
local t = {} for i = 1, 100000 do t[i] = i end
for i = 50000, 100000 do t[i] = nil end
while true do local _ = #t end
--# SPENT: next through holes
local t = {} for i = 1, 200000 do t[i] = i end
for i = 1, 199999 do t[i] = nil end
while true do next(t) end
--# SPENT: next through a hash of holes
local t = {} for i = 1, 4000 do t[i + 0.5] = i end
for i = 1, 3999 do t[i + 0.5] = nil end
while true do next(t) end
--# SPENT: pairs of a large table, left at once
local t = {} for i = 1, 4000 do t["k" .. i] = i end
while true do for _ in pairs(t) do break end end
--# SPENT: packsize of a long format
local s = ("i1"):rep(8000)
while true do string.packsize(s) end
--# SPENT: packsize of a long format that is wrong at its end
local s = ("i1"):rep(8000) .. "z"
while true do pcall(string.packsize, s) end
--# SPENT: pack of blanks
local s = (" "):rep(16000)
while true do s:pack() end
--# SPENT: unpack of blanks
local s = (" "):rep(16000)
while true do s:unpack("") end
--# RAISED: a format longer than formats are
return (" "):rep(16385):unpack("")
--# SPENT: a table that is as large as one may be, gone through
local t = {} for i = 1, 4096 do t[i * 3.5] = i end
while true do for _ in pairs(t) do end end
--# SPENT: a table that grows, all of whose keys collide
while true do local t = {} for i = 1, 2049 do t[i * 4095] = i end end
--# SPENT: unpack of a long text
local s = ("x"):rep(1000000) .. "\0"
while true do ("z"):unpack(s) end
--# SPENT: lengths of UTF-8
local s = ("x"):rep(1000000)
while true do utf8.len(s) end
--# SPENT: offsets of UTF-8
local s = ("\xBF"):rep(1000000)
while true do pcall(utf8.offset, s, 0, 500000) end
--# SPENT: codes of UTF-8
local s = ("x"):rep(1000000)
while true do for _ in utf8.codes(s) do break end end
--# SPENT: bytes of continuation between codes
local s = "x" .. ("\xBF"):rep(1000000)
for _ in utf8.codes("x") do end
while true do pcall(function() for _ in utf8.codes(s) do end end) end
--# SPENT: a codepoint behind a long text
local s = ("x"):rep(1000000)
while true do utf8.codepoint(s, -1) end
--# SPENT: a byte of a long text
local s = ("x"):rep(1000000)
while true do s:byte(-1) end
--# SPENT: reversed and reversed
local s = ("x"):rep(1000000)
while true do s = s:reverse() end
--# SPENT: format of a long format
local s = ("%%"):rep(500000)
while true do s:format() end
--# SPENT: format of a text that is cut
local s = ("x"):rep(1000000)
while true do ("%.1s"):format(s) end
--# SPENT: format of a text with a zero
local s = ("x"):rep(1000000)
while true do ("%5s"):format(s) end
--# SPENT: large powers and remainders
while true do local _ = math.fmod(1e308, 1e-308) end
--# SPENT: large remainders by an operator
local a, b = 1e308, 5e-324
while true do local _ = a % b end
--# SPENT: JSON of a long text
local tael = require "tael"
local s = ("x"):rep(1000000)
while true do tael.json.encode(s) end
--# SPENT: JSON of escapes
local tael = require "tael"
local s = ("\0"):rep(100000)
while true do tael.json.encode(s) end
--# SPENT: JSON of many blanks
local tael = require "tael"
local s = (" "):rep(1000000)
while true do tael.json.decode(s) end
--# SPENT: JSON of many numbers
local tael = require "tael"
local s = "[" .. ("1.5,"):rep(15000) .. "1]"
while true do tael.json.decode(s) end
--# SPENT: JSON of many members
local tael = require "tael"
local t = {} for i = 1, 200 do t[i] = '"' .. ("k"):rep(1000) .. i .. '":1' end
local s = "{" .. table.concat(t, ",") .. "}"
while true do tael.json.decode(s) end
--# SPENT: members put in order
local tael = require "tael"
local t = {} for i = 1, 200 do t[("k"):rep(1000) .. i] = 1 end
while true do tael.json.encode(t) end
--# SPENT: what JSON is, asked
local tael = require "tael"
while true do tael.json.is_array({}) tael.json.array({}) end
--# RAISED: a problem with many members
local tael = require "tael"
local t = {} for i = 1, 4000 do t["k" .. i] = i end
while true do tael.problem(400, "x", "y", t) end
--# SPENT RAISED: weak tables that lead to each other in a bad order
local order, n = {}, 3000
for i = 1, n do order[i] = (i * 7919) % n + 1 end
local tables, keys = {}, {}
for i = 1, n + 1 do keys[i] = {} end
for i = 1, n do
  local mt = {}
  local t = setmetatable({}, mt)
  mt.__mode = "k"
  tables[order[i]] = t
end
for i = 1, n do tables[i][keys[i]] = keys[i + 1] end
keys = { keys[1] }
while true do local _ = { {}, {}, {} } end
--# SPENT: errors at the end of a large function
local function f(x)
  local t = x
  return t.a.b.c.d.e.f.g.h
end
while true do pcall(f, { a = { b = { c = { d = {} } } } }) end
--# SPENT: texts of errors with long names
local t = {}
while true do pcall(function() return t.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.y end) end
--# SPENT: an error with a long text, caught
local s = ("x"):rep(1000000)
while true do pcall(error, s) end
--# SPENT: an unknown global with a long name, caught
local s = ("x"):rep(1000000)
while true do pcall(function() return _ENV[s] end) end
--# SPENT: a problem with a long text, caught
local s = ("x"):rep(1000000)
while true do pcall(require, s) end
--# DONE: a place is no text that could come again
return ("aa"):find("()%1") or ("aab"):match("()a%1b")
