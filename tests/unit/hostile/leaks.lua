--# DONE: addresses of tables
return tostring({}):match("0x") or tostring({}):match("%x%x%x%x%x%x")
--# DONE: addresses of functions
return tostring(pcall):match("0x") or tostring(function() end):match("%x%x%x%x%x%x")
--# DONE: addresses of what C made
local tael = require "tael"
return tostring(tael.json.null):match("0x") or tostring(tael.json.decode("1.50")):match("0x")
--# DONE: addresses by a format
local ok, text = pcall(string.format, "%p", {})
return ok and text:match("%x%x%x%x%x%x") or nil
--# DONE: addresses by a format behind a NUL
local ok, text = pcall(string.format, "\0%p", {})
return ok and text:match("%x%x%x%x%x%x") or nil
--# DONE: addresses by a format behind a percent sign, and with a width
local one, text = pcall(string.format, "%%%p", {})
local other, more = pcall(string.format, "%d%-20p", 1, {})
return one and text:match("%x%x%x%x%x%x") or other and more:match("%x%x%x%x%x%x") or nil
--# DONE: addresses of a text by a format
local ok, text = pcall(string.format, "%p", "x")
return ok and text:match("%x%x%x%x%x%x") or nil
--# DONE: addresses by a format of a text
return ("%s"):format({}):match("0x") or ("%10s"):format(pcall):match("0x")
--# DONE: addresses in messages
local _, text = pcall(error, {})
return tostring(text):match("0x")
--# DONE: addresses in a replacement
local _, text = pcall(string.gsub, "x", "x", function() return {} end)
return tostring(text):match("0x")
--# DONE: pairs goes in one order
local t, order = {}, {}
for _, k in ipairs({ "zeta", "alpha", "mu", "beta", "omega", "gamma", "a", "b", "c" }) do t[k] = true end
for k in pairs(t) do order[#order + 1] = k end
local text = table.concat(order, " ")
return text ~= "a alpha b beta c gamma mu omega zeta" and text or nil
--# DONE: next goes in the order of pairs
local t, order = {}, {}
for _, k in ipairs({ "zeta", "alpha", "mu", "beta", "omega", "gamma", "a", "b", "c" }) do t[k] = true end
local k = next(t)
while k ~= nil do order[#order + 1] = k k = next(t, k) end
local text = table.concat(order, " ")
return text ~= "a alpha b beta c gamma mu omega zeta" and text or nil
--# DONE: next as an iterator
local t, order = {}, {}
for _, k in ipairs({ "zeta", "alpha", "mu", "beta" }) do t[k] = true end
for k in next, t do order[#order + 1] = k end
local text = table.concat(order, " ")
return text ~= "alpha beta mu zeta" and text or nil
--# DONE: a clock
return pcall(function() return os.time() end) and "a clock" or nil
--# DONE: chance
return pcall(function() return math.random() end) and "chance" or nil
--# DONE: how much memory is in use
return pcall(function() return collectgarbage("count") end) and "memory" or nil
--# DONE: the path of a file of the engine
local _, text = pcall(string.rep)
local _, other = pcall(require("tael").problem)
return tostring(text):match("/") or tostring(other):match("/[%w_]+%.c")
--# DONE: what the last script left in the libraries
return rawget(string, "planted") or string.planted or rawget(_ENV, "planted")
--# DONE: when something is collected
local mt = {}
local t = setmetatable({}, mt)
mt.__mode = "k"
t[{}] = true
for _ = 1, 100000 do local _ = {} end
return next(t) == nil and "collected" or nil
