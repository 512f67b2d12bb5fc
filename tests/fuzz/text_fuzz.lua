--- Times, ids and addresses as text, which strangers send: what is read is written in one way and read again.
require "tests.spec.kernel_support"
local source = require "tael.kernel.source"
local time = require "tael.time"

local zones = { "UTC", "+08:00", "-03:30", "+14:00" }

local function check_rfc3339(text)
    local ms, err = time.parse_rfc3339(text)
    if not ms then
        assert(err.code == "invalid_time", err.code)
        return
    end
    local ran, written = pcall(time.rfc3339, ms)
    assert(not ran or time.parse_rfc3339(written) == ms, "another time")
end

local function check_local(text, zone)
    local ms, err = time.parse(text, zone)
    if not ms then
        assert(err.code == "invalid_time", err.code)
        return
    end
    local written = time.format(ms, zone)
    assert(time.parse(written, zone) == ms - ms % 1000, "another time")
    assert(written == text:sub(1, 19), "written in another way")
end

local function check_address(text)
    local address = source.address(text)
    assert(address == nil or #address == 16, "not an address of 16 bytes")
    local network = source.network(text)
    if address then
        assert(network and source.within(network, address), "an address is outside of itself")
    end
    assert(type(source.group(text)) == "string", "no group")
    assert(type(source.of(text, text, source.networks { "10.0.0.0/8" })) == "string", "no source")
end

---@param input string
return function(input)
    check_rfc3339(input)
    check_local(input, zones[#input % #zones + 1])
    check_address(input)
end
