--- The payer's browser coming back. It proves nothing to the kernel and changes no state; a signature that
--- holds only tells which order to show and to ask the channel about.
local message_module = require "tael.message"
local task = require "tael.task"

local returned = {}

---@param package tael.channel.Package
---@param prepared tael.channel.Account
---@param query string raw, still encoded
---@param at integer ms
---@return string? order_no nil when it does not verify
function returned.verify(package, prepared, query, at)
    if not package.return_ or query == "" then
        return nil
    end
    local message = message_module.new {
        account = prepared.id, raw = query, content = "form", at = at,
        charset = package.notify and package.notify.charset,
    }
    if not message then
        return nil
    end
    local ran, order_no = task.pure(package.return_.verify, prepared, message)
    return ran and type(order_no) == "string" and order_no or nil
end

return returned
