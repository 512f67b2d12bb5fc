--# SPENT: a loop of nothing
while true do end
--# SPENT: repeat
repeat local x = 1 until x == 2
--# SPENT: goto
::again:: goto again
--# SPENT: a loop of one goto among locals
do local a = 1 ::again:: a = a + 1 goto again end
--# SPENT: a tail call to itself
local function f() return f() end
f()
--# SPENT: two that tail call each other
local f, g
function f() return g() end
function g() return f() end
f()
--# SPENT: a method that calls itself last
local o = {}
function o:m() return self:m() end
o:m()
--# SPENT: a long way in steps of one
for _ = 1, math.maxinteger do end
--# SPENT: a long way backwards
for _ = math.maxinteger, math.mininteger, -1 do end
--# SPENT: steps too small for the number
for _ = 1, 2, 1e-300 do end
--# DONE: steps as large as they get
local n = 0
for _ = 1, math.maxinteger, math.maxinteger do n = n + 1 end
for _ = math.mininteger, math.maxinteger, math.maxinteger do n = n + 1 end
return n ~= 4 and n or nil
--# RAISED: steps of zero
for _ = 1, 2, 0 do end
--# SPENT: an iterator that never ends
for _ in function() return 1 end do end
--# SPENT: pairs of a table that is given again and again
for _ in function(t) return t end, {} do end
--# SPENT: ipairs without end
for _ in ipairs(setmetatable({}, { __index = function(_, i) return i end })) do end
--# SPENT: pairs made by __pairs without end
for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end
--# SPENT: __pairs itself
pairs(setmetatable({}, { __pairs = function() while true do end end }))
--# SPENT: __index
local t = setmetatable({}, { __index = function() while true do end end })
return t.x
--# SPENT: __newindex
local t = setmetatable({}, { __newindex = function() while true do end end })
t.x = 1
--# SPENT: __call
setmetatable({}, { __call = function() while true do end end })()
--# SPENT: __eq
local mt = { __eq = function() while true do end end }
return setmetatable({}, mt) == setmetatable({}, mt)
--# SPENT: __lt
local mt = { __lt = function() while true do end end }
return setmetatable({}, mt) < setmetatable({}, mt)
--# SPENT: __le
local mt = { __le = function() while true do end end }
return setmetatable({}, mt) <= setmetatable({}, mt)
--# SPENT: __concat
return "a" .. setmetatable({}, { __concat = function() while true do end end })
--# SPENT: __len
return #setmetatable({}, { __len = function() while true do end end })
--# SPENT: __unm
return -setmetatable({}, { __unm = function() while true do end end })
--# SPENT: __add of a number
return 1 + setmetatable({}, { __add = function() while true do end end })
--# SPENT: __bnot
return ~setmetatable({}, { __bnot = function() while true do end end })
--# SPENT: __tostring
tostring(setmetatable({}, { __tostring = function() while true do end end }))
--# SPENT: __tostring by a format
return ("%s"):format(setmetatable({}, { __tostring = function() while true do end end }))
--# SPENT: a comparator
table.sort({ 3, 2, 1 }, function() while true do end end)
--# SPENT: a comparator that is caught
while true do pcall(table.sort, { 3, 2, 1 }, function() while true do end end) end
--# SPENT: __lt while sorting
local mt = { __lt = function() while true do end end }
table.sort({ setmetatable({}, mt), setmetatable({}, mt) })
--# SPENT: a replacement
("x"):gsub("x", function() while true do end end)
--# SPENT: a replacement that replaces
local function f(s) return (s:gsub(".", f)) end
while true do pcall(f, "xy") end
--# SPENT: a table of replacements with __index
("x"):gsub("x", setmetatable({}, { __index = function() while true do end end }))
--# SPENT: gmatch over nothing
while true do for _ in (""):gmatch("") do end end
--# SPENT: __index while concatenating a table
while true do pcall(table.concat, setmetatable({}, { __index = function() while true do end end }), "", 1, 9) end
--# SPENT: a round of three metamethods
local mt = {}
function mt.__index(t, k) return t + k end
function mt.__add(t) return #t end
function mt.__len(t) return t.x end
while true do pcall(function() return setmetatable({}, mt).x end) end
--# SPENT: math and strings without end
local n = 0.5
while true do n = math.sin(n) + #tostring(n) end
--# SPENT: a problem after the other
local tael = require "tael"
while true do tael.problem(400, "x") end
--# SPENT: a condition with a loop in it
while (function() while true do end end)() do end
--# SPENT: a condition with a block in it
while (function() do end return true end)() do end
--# SPENT: the bounds of a loop have one in them
for _ = (function() repeat until false end)(), 2 do end
--# SPENT: until has a loop in it
repeat until (function() repeat until false end)()
--# SPENT: goto out of blocks
::again:: do if true then do goto again end end end
--# SPENT: goto in a loop of one turn
for _ = 1, 1 do ::again:: goto again end
--# SPENT: goto to the second label of the name
do ::again:: end ::again:: goto again
--# SPENT: two that go to each other
do goto second end ::first:: do goto second end ::second:: goto first
--# SPENT: a loop behind a word that is no keyword
local fortune, dodo = 1, 2 for _ in function() return fortune + dodo end do end
--# SPENT: a loop in the arguments of a call of a text
local _ = ("x"):rep((function() for _ in function() return 1 end do end end)())
--# SPENT: a function of many names
local t = { a = { b = {} } } function t.a.b:c(...) return self:c(...) end t.a.b:c(1, 2)
--# SPENT: a comment before the loop's word
while --[==[ do ]] ]==] true --do
do end
--# SPENT: a loop in a table in a table
local _ = { { f = function() while true do end end } } _[1].f()
--# SPENT: texts of NULs, compared
local s = ("\0"):rep(32000) while s <= s do end
--# SPENT: longer ones
local s = ("\0"):rep(110000) while s <= s do end
--# SPENT: short ones
local s = ("\0"):rep(900) while s <= s do end
--# SPENT: a long number as a bound
local s = "0." .. ("1"):rep(31000) while true do for _ = 1, s do end end
--# SPENT: texts of NULs, put in order
local t = {} for i = 1, 200 do t[i] = ("\0"):rep(3000) .. i end while true do table.sort(t) end
--# DONE: as many keys as a table may have
local t = {} for i = 1, 4096 do t[i + 0.5] = i end
--# MEMORY: one more than it may have
local t = {} for i = 1, 4097 do t[i + 0.5] = i end
--# MEMORY: a table of too many keys
local t = {} for i = 1, math.maxinteger do t[i + 0.5] = i end
