-- The HAProxy peer: Lua 5.3, interpreted, inside a C event loop; routes only.
-- luacheck: globals core
local cjson = require "cjson"
local rule = require "rule"

core.register_service("route", "http", function(applet)
    local body = cjson.encode(rule(cjson.decode(applet:receive())))
    applet:set_status(200)
    applet:add_header("content-length", #body)
    applet:add_header("content-type", "application/json")
    applet:start_response()
    applet:send(body)
end)
