--- What channels and payers send: notifications and browsers coming back. No credential of ours; the kernel's
--- checks decide.
local notifications = require "tael.kernel.notifications"
local returns = require "tael.kernel.returns"

local M = {}

---@param call tael.api.Call
function M.notify(call)
    return notifications.receive {
        channel = call.params.channel, account = call.params.account, request = call.request,
    }
end

---@param call tael.api.Call
function M.returned(call)
    return returns.receive {
        channel = call.params.channel, payment = call.params.payment, request = call.request,
    }
end

return M
