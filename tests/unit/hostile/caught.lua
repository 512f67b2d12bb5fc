--# SPENT: pcall around an endless loop
while true do pcall(function() while true do end end) end
--# SPENT: pcall of itself
local function f() return pcall(f) or f() end
f()
--# SPENT: pcall of pcall of pcall
local function f() return pcall(pcall, pcall, f) end
while true do f() end
--# SPENT: xpcall with a handler that never ends
xpcall(function() while true do end end, function() while true do end end)
--# SPENT: xpcall whose handler is itself
local function f() return xpcall(f, f) or f() end
f()
--# SPENT: an error in the handler
while true do pcall(xpcall, error, function() error(error) end) end
--# SPENT: a handler of an error in a handler
local function h(e) return xpcall(error, h, e) end
while true do pcall(xpcall, error, h, 1) end
--# SPENT: errors that are tables
while true do pcall(error, {}) end
--# SPENT: errors that cannot be shown
while true do pcall(error, setmetatable({}, { __tostring = function() while true do end end })) end
--# RAISED: the last error is a table whose text never ends
error(setmetatable({}, { __tostring = function() while true do end end, __index = function() while true do end end }))
--# RAISED: the last error is nil
error()
--# RAISED: the last error is a function
error(function() while true do end end)
--# RAISED: an error of a megabyte
error(("x"):rep(1000000))
--# SPENT: catching in a metamethod
local t = setmetatable({}, { __index = function(t, k) return pcall(function() return t[k] end) end })
while true do pcall(function() return t.x end) end
--# SPENT: catching in a comparator
local function less() while true do pcall(error) end end
while true do pcall(table.sort, { 1, 2, 3 }, less) end
--# SPENT: catching in a replacement
while true do
  pcall(string.gsub, ("x"):rep(10), "x", function() pcall(function() while true do end end) end)
end
--# RAISED: a variable that is closed
local _ <close> = setmetatable({}, { __close = function() while true do end end })
--# SPENT RAISED: a variable that is closed by a late __close
local mt = {}
local o = setmetatable({}, mt)
mt.__close = function() while true do end end
do local _ <close> = o end
--# SPENT RAISED: a loop's closing value with a late __close
local mt = {}
local o = setmetatable({}, mt)
mt.__close = function() while true do end end
for _ in pairs({ 1 }), nil, nil, o do while true do end end
--# SPENT RAISED: what closes catches
local mt = {}
local o = setmetatable({}, mt)
mt.__close = function() while true do pcall(function() while true do end end) end end
while true do pcall(function() for _ in next, { 1 }, nil, o do while true do end end end) end
--# RAISED: a finalizer
setmetatable({}, { __gc = function() while true do end end })
--# SPENT: a late finalizer
local mt = {}
setmetatable({}, mt)
mt.__gc = function() while true do end end
while true do setmetatable({}, {}) end
--# SPENT: the deed after the kill
pcall(function() while true do end end)
while true do end
--# SPENT: select of what pcall gave
while true do select("#", pcall(pcall, error, "x")) end
--# SPENT: assert in pcall
while true do pcall(assert, false, "no") end
--# SPENT: errors deep down
local function deep(n) if n == 0 then error("deep") end deep(n - 1) end
while true do pcall(deep, 150) end
--# SPENT MEMORY: pcall after the stack ran out
local function f() return f() + 1 end
while true do pcall(f) end
--# MEMORY: pcall after memory ran out
while true do pcall(function() local t = {} while true do t[#t + 1] = { {} } end end) end
--# MEMORY: xpcall after memory ran out
xpcall(function() local s = "x" while true do s = s .. s end end, function() while true do end end)
--# SPENT: wrong calls of the libraries
local all = { string.rep, table.concat, utf8.len, math.floor, setmetatable, string.format, table.move, select }
while true do for i = 1, #all do pcall(all[i], all, all, all) end end
--# SPENT: errors on the way to a text
while true do pcall(tostring, setmetatable({}, { __tostring = function() return {} end })) end
