--# RAISED: metamethods nested by C
local mt = {}
function mt.__index(t, k) return t[k] end
return setmetatable({}, mt).x
--# RAISED: __call of __call
local t = {}
setmetatable(t, { __call = t })
t()
--# RAISED SPENT MEMORY: __call of a chain
local f = function() end
for _ = 1, 5000 do f = setmetatable({}, { __call = f }) end
f()
--# SPENT MEMORY RAISED: pcall nested
local function f(n) pcall(f, n + 1) error("x") end
f(1)
--# SPENT MEMORY RAISED: pcall nested by C
local function f() return pcall(pcall, pcall, pcall, f) end
f()
error("none")
--# SPENT MEMORY RAISED: gsub nested
local function f(s) return s:gsub(".", f) end
f("xxxx")
--# SPENT MEMORY RAISED: sort nested
local function f(a, b) table.sort({ 3, 2, 1 }, f) return a < b end
table.sort({ 3, 2, 1 }, f)
--# RAISED SPENT: __tostring nested
local mt = {}
function mt.__tostring(t) return tostring(t) end
tostring(setmetatable({}, mt))
--# RAISED SPENT: __concat nested
local mt = {}
function mt.__concat(a, b) return a .. b end
return setmetatable({}, mt) .. "x"
--# RAISED SPENT: __eq nested
local mt = {}
function mt.__eq(a, b) return a == b end
return setmetatable({}, mt) == setmetatable({}, mt)
--# RAISED SPENT: __lt nested
local mt = {}
function mt.__lt(a, b) return a < b end
return setmetatable({}, mt) < setmetatable({}, mt)
--# RAISED SPENT: __close nested
local mt = {}
local o = setmetatable({}, mt)
function mt.__close() for _ in next, { 1 }, nil, o do end end
for _ in next, { 1 }, nil, o do end
--# RAISED SPENT: closing that raises while closing that raises
local mt = {}
local o = setmetatable({}, mt)
function mt.__close() error("x") end
local function f(n) for _ in next, { 1 }, nil, o do if n > 0 then f(n - 1) else error("y") end end end
f(150)
--# RAISED SPENT: handlers nested until the stack is full
local function h(e) return xpcall(error, h, e) end
xpcall(error, h, "x")
error("none")
--# RAISED SPENT MEMORY: errors where the stack is full
local function f(n) local ok, e = pcall(f, n + 1) if not ok then error(e .. "x", 2) end return e end
f(1)
error("none")
--# RAISED SPENT MEMORY: xpcall where the stack is full
local function f() return xpcall(f, function(e) return tostring(e) .. f() end) end
f()
error("none")
--# RAISED SPENT MEMORY: a concatenation where the stack is full
local function f(...) return f(..., "x") .. "x" end
f("x")
--# RAISED SPENT MEMORY: texts too long while a message is made
local s = ("x"):rep(1000000)
local t = setmetatable({}, { __index = function(_, k) error(k .. s) end })
return t[s]
--# DONE: settop and results beyond what there is
local n = select("#", table.unpack({}, 1, 250))
return n ~= 250 and "wrong" or nil
--# DONE: constants in operations on bits
local a <const>, b <const> = 0xFF, 1.0
local x = 3
if (x & a) ~= 3 or (a & x) ~= 3 or (x | b) ~= 3 or (b ~ x) ~= 2 then return "wrong" end
--# RAISED: a constant that is no integer in operations on bits
local a <const> = 1.5
local x = 3
return x & a
--# DONE: negative zero and NaN as limits
local n = 0
for _ = -0.0, 0.0 do n = n + 1 end
for _ = 1, 0 / 0 do n = n + 1 end
return n ~= 1 and "wrong" or nil
--# RAISED: NaN as a key
local t = {}
t[0 / 0] = 1
--# RAISED: the smallest integer divided by nothing
return math.mininteger // 0
--# DONE: the smallest integer divided by minus one
return (math.mininteger // -1 ~= math.mininteger or math.mininteger % -1 ~= 0) and "wrong" or nil
--# DONE: the smallest integer in formats and places
local s = ("%d"):format(math.mininteger) .. ("abc"):sub(math.mininteger, math.maxinteger)
local _ = ("abc"):byte(math.mininteger, math.maxinteger)
return s ~= "-9223372036854775808abc" and s or nil
--# DONE: places at the ends of what there is
local s = "x"
local _ = s:find("", math.mininteger), s:find("", math.maxinteger), s:find("x", -1), s:gmatch("x", math.mininteger)()
local _ = pcall(utf8.offset, s, math.mininteger), pcall(utf8.len, s, math.mininteger, math.maxinteger)
--# RAISED: unpack behind the end
return ("<i8"):unpack("x", math.maxinteger)
--# RAISED: unpack before the beginning
return ("<i8"):unpack("x", math.mininteger)
--# RAISED: unpack of a text that is longer than it is
return ("s8"):unpack("\xff\xff\xff\xff\xff\xff\xff\x7fx")
--# RAISED: a wrong order in the middle of a sort
local t = {} for i = 1, 100 do t[i] = i % 3 end
table.sort(t, function() return true end)
error("sorted")
--# DONE: a table changed while it is sorted
local t = {} for i = 1, 100 do t[i] = 100 - i end
pcall(table.sort, t, function(a, b) t[#t] = nil return (a or 0) < (b or 0) end)
--# SPENT: a table changed while it is gone through
local t = {} for i = 1, 100 do t["k" .. i] = i end
pcall(function() for k in pairs(t) do t[k] = nil t[k .. "x"] = 1 end end)
pcall(function() for k in next, t do t[k] = nil t[k .. "y"] = 1 end end)
--# DONE: a list that is cut while it is moved
local t = setmetatable({}, { __newindex = function() end })
pcall(table.move, { 1, 2, 3 }, 1, 3, 1, t)
--# DONE: next with a key that is not there
return next({}, "x")
--# RAISED: a pattern that ends early
return ("x"):find("%")
--# RAISED: a set that ends early
return ("x"):find("[%")
--# RAISED: a set that is only a caret
return ("x"):find("[^")
--# RAISED: a balance that ends early
return ("x"):find("%b")
--# RAISED: a frontier without a set
return ("x"):find("%f")
--# RAISED: more captures than there are
return ("x"):rep(100):find(("(x)"):rep(33))
--# RAISED: a capture that was never opened
return ("x"):find("%9")
--# RAISED: a replacement that ends early
return ("x"):gsub("x", "%")
--# RAISED: a replacement of a capture that is not there
return ("x"):gsub("x", "%2")
--# RAISED SPENT: one that yields nowhere
return ("x"):gsub("x", function() for _ = 1, 1000000 do end error("over") end)
--# DONE: a thousand varargs through select
local function f(...) return select("#", select(500, ...)) end
local t = {} for i = 1, 1000 do t[i] = i end
return f(table.unpack(t)) ~= 501 and "wrong" or nil
