--- What a channel can do, as its manifest promises it. A promise without the operation behind it is refused:
--- the kernel would count on a way out that is not there.
local faults = require "tael.channel.faults"
local products = require "tael.channel.products"

local capabilities = {}

local add, expect, known = faults.add, faults.expect, faults.known

local flags = { "query", "close", "cancel", "capture", "void", "transfer", "split", "bill" }
local members = faults.set { "create", "refund", table.unpack(flags) }
local create_members = faults.set { "repeatable" }
local refund_members = faults.set {
    "partial", "max_count", "async", "query_after", "window", "query_after_ms", "window_ms",
}

-- how long after a refund it is asked about, where the channel does not say
local query_after = "10s"

local function check_flag(list, at, value)
    if value ~= nil then
        expect(list, at, value, "boolean")
    end
end

local function check_refund(list, refund, package)
    local at = "capabilities.refund"
    if refund == nil and package.refund == nil or not expect(list, at, refund, "table") then
        return
    end
    known(list, at, refund, refund_members)
    for _, op in ipairs { "refund", "refund_query" } do
        if package[op] == nil then
            add(list, at, "is promised, but the package has no " .. op)
        end
    end
    check_flag(list, at .. ".partial", refund.partial)
    check_flag(list, at .. ".async", refund.async)
    if refund.max_count ~= nil and (math.type(refund.max_count) ~= "integer" or refund.max_count < 1) then
        add(list, at .. ".max_count", "must be a positive integer")
    end
    refund.query_after_ms = products.duration(list, at .. ".query_after", refund.query_after or query_after)
    if refund.window ~= nil then
        refund.window_ms = products.duration(list, at .. ".window", refund.window)
    end
end

local function check_create(list, create)
    local at = "capabilities.create"
    if create ~= nil and expect(list, at, create, "table") then
        known(list, at, create, create_members)
        check_flag(list, at .. ".repeatable", create.repeatable)
    end
end

--- Checks them and fills in: an operation that is there and not named is a capability; query_after_ms and
--- window_ms of refunds.
---@param list table[] faults
---@param package table
function capabilities.check(list, package)
    local promised = package.capabilities
    if not expect(list, "capabilities", promised, "table") then
        return
    end
    known(list, "capabilities", promised, members)
    for _, name in ipairs(flags) do
        local at = "capabilities." .. name
        check_flag(list, at, promised[name])
        if promised[name] == true and package[name] == nil then
            add(list, at, "is promised, but the package has no " .. name)
        elseif promised[name] == nil and package[name] ~= nil then
            promised[name] = true
        end
    end
    check_create(list, promised.create)
    check_refund(list, promised.refund, package)
end

return capabilities
