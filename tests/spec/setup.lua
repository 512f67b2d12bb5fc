--- Helper of busted: makes the C modules and Tael's Lua available to specs. Run from the root:
---   busted --lua=/usr/bin/lua5.4 --helper=tests/spec/setup.lua tests/spec
--- TAEL_BUILD names another build folder (a sanitizer's), "build" by default.
local build = os.getenv("TAEL_BUILD") or "build"
package.cpath = build .. "/lua/?.so;" .. package.cpath
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
require "tael_modules"
