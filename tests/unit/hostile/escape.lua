--# RAISED: load
load("return 1")()
--# RAISED: loadstring
loadstring("return 1")()
--# RAISED: dofile
dofile("/etc/passwd")
--# RAISED: loadfile
loadfile("/etc/passwd")
--# RAISED: io
io.open("/etc/passwd")
--# RAISED: os
os.execute("true")
--# RAISED: os by another name
_ENV["os"].exit(1)
--# RAISED: debug
debug.getregistry()
--# RAISED: package
package.loadlib("libc.so.6", "system")
--# RAISED: getmetatable
getmetatable("").__index = {}
--# RAISED: rawset
rawset(string, "rep", nil)
--# RAISED: collectgarbage
collectgarbage()
--# RAISED: print
print("x")
--# RAISED: warn
warn("@on")
--# RAISED: coroutines
coroutine.wrap(function() end)()
--# RAISED: coroutine.running
coroutine.running()
--# RAISED: coroutine.close of what is running
coroutine.close(coroutine.running())
--# RAISED: _G
_G.x = 1
--# RAISED: a global that is written
planted = 1
--# RAISED: a global function that is replaced
function pcall() end
--# RAISED: _ENV that is written
_ENV.planted = 1
--# DONE: _ENV that is replaced for this function alone
local _ENV = { planted = 1 }
planted = 2
--# RAISED: a constant _ENV
local _ENV <const> = {}
x = y.z
--# DONE: a constant _ENV with many upvalues
local a, b, c = 1, 2, 3
local _ENV <const> = { n = 1 }
local function f() n = a + b + c return n end
return f() ~= 6 and "wrong" or nil
--# RAISED: a library that is written
string.planted = 1
--# RAISED: a library's function that is replaced
function string.rep() return "planted" end
--# RAISED: a library that is written by its name
_ENV["table"]["planted"] = 1
--# RAISED: math
math.pi = 3
--# RAISED: a method of texts
local s = "x"
s.planted = 1
--# RAISED: tael
require("tael").planted = 1
--# RAISED: tael's JSON
require("tael").json.null = 1
--# RAISED: the metatable of a library
setmetatable(string, {})
--# RAISED: the metatable of the globals
setmetatable(_ENV, {})
--# RAISED: the metatable of tael
setmetatable(require "tael", nil)
--# RAISED: the metatable of a text
setmetatable("", {})
--# RAISED: a protected metatable
setmetatable({}, { __metatable = 1 })
--# RAISED: a name for types
setmetatable({}, { __name = "x" })
--# RAISED: weak keys
setmetatable({}, { __mode = "k" })
--# RAISED: rawget past the front of a library
return rawget(string, "rep")("x", 1)
--# DONE: next finds nothing in a library
return next(string) or next(_ENV) or next(table) or next(require "tael")
--# RAISED: pairs finds nothing to write to
for _, f in pairs(string) do f() end
error("nothing found")
--# RAISED: sort of a library
table.sort(string)
string.x = table
--# RAISED: insert into a library
table.insert(string, "planted")
--# RAISED: insert into the globals
table.insert(_ENV, "planted")
--# RAISED: move into a library
table.move({ "planted" }, 1, 1, 1, string)
--# RAISED: remove from a library
table.insert(table, 1)
--# RAISED: bytecode
string.dump(function() end)
--# RAISED: require of anything else
require "os"
--# RAISED: require of a path
require "../../etc/passwd"
--# RAISED: require of Tael's own
require "tael.core"
--# RAISED: require of a number
require(5)
--# RAISED: another script's tables by package
package.loaded.tael.planted = 1
--# RAISED: a function's environment
setfenv(1, {})
--# RAISED: upvalues
debug.setupvalue(pcall, 1, 1)
--# RAISED: an __index that is no place to look
setmetatable({}, { __index = 5 }).x = 1
return setmetatable({}, { __index = 5 }).x
--# RAISED: a metamethod that is a text
return setmetatable({}, { __add = "x" }) + 1
--# DONE: __eq says that all is equal
local t = setmetatable({}, { __eq = function() return true end })
return rawequal(t, string) and "equal" or nil
--# RAISED: a text's metamethods
return "1" + "1"
--# RAISED: unknown names
return undefined_name
--# RAISED: JSON's array as an object with methods
local tael = require "tael"
setmetatable(tael.json.array({}), { __gc = function() end })
--# RAISED: JSON's null as a table
require("tael").json.null.x = 1
--# RAISED: the metatable of JSON's null
setmetatable(require("tael").json.null, {})
--# RAISED: the metatable of a decimal
setmetatable(require("tael").json.decode("1.50"), {})
--# RAISED: a decimal's inside
require("tael").json.decode("1.50").x = 1
--# RAISED: a userdata's uservalue
return require("tael").json.decode("[1.50]")[1]()
--# DONE: what is not here
for _, name in ipairs({ "load", "io", "os", "debug", "package", "coroutine", "collectgarbage", "rawset", "getmetatable" }) do
  if pcall(function() return _ENV[name] end) then return name end
end
for _, name in ipairs({ "dump" }) do
  if string[name] ~= nil then return name end
end
if math.random or math.randomseed then return "random" end
--# RAISED: a library marked as an array
require("tael").json.array(string)
--# RAISED: the globals marked as an object
require("tael").json.object(_ENV)
--# RAISED: tael marked as an object
local tael = require "tael"
tael.json.object(tael.json)
--# RAISED: what is counted with
local __left = 1 << 60
--# RAISED: a field of that name
return { __spent = function() end }
--# RAISED: the end of what is around it
end, (function() while true do end end)(), function()
--# RAISED: the same behind something good
local x = 1 end, (function() while true do end end)(), function() return 2
--# RAISED: the end of a loop that has not begun
while true end, (function() while true do end end)(), function() do
--# RAISED: until of nothing
until true
--# RAISED: a text that does not end
local x = [[ end
--# RAISED: a function that does not end
local function f()
