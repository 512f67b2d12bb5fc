--- The deep part of tael doctor: the store proved against its own record, in the file that this
--- command has opened. What a running engine owns is not looked at: it changes under the eyes.
local keyring = require "tael.cli.keyring"
local text = require("tael.cli.texts").of

local deep = {}

local SHOWN = 10

local line_of_kind = {
    chain = "chain", seal = "seals", row = "rebuild", missing = "rebuild", evidence = "rebuild",
}

--- "1 event", "2 events"
local function number(count, word)
    return text("deep." .. word .. (count == 1 and ".one" or ".many"), { count = count })
end

local function sentence(difference)
    return ("%s  %s  %s"):format(difference.merchant, difference.object, difference.detail)
end

--- The three lines of a proof.
---@param differences { kind: string, merchant: string, object: string, detail: string }[]
---@param counts { payments: integer, attempts: integer, events: integer }
---@return table[] checks
function deep.lines(differences, counts)
    local found = { chain = {}, seals = {}, rebuild = {} }
    for _, difference in ipairs(differences) do
        table.insert(found[line_of_kind[difference.kind] or "rebuild"], sentence(difference))
    end
    local events, payments = number(counts.events, "event"), number(counts.payments, "payment")
    local good = {
        chain = text("deep.chain", { events = events, payments = payments }), seals = events,
        rebuild = text("deep.rebuild", { payments = payments,
            attempts = number(counts.attempts, "attempt") }),
    }
    local lines = {}
    for i, name in ipairs { "chain", "seals", "rebuild" } do
        local list = found[name]
        lines[i] = { name = name, verdict = "ok", detail = good[name] }
        if #list > 0 then
            lines[i] = {
                name = name, verdict = "fail", detail = number(#list, "difference"),
                next = text "deep.damaged.next", more = { table.unpack(list, 1, SHOWN) },
            }
        end
    end
    return lines
end

local function all(verdict, detail, next_step)
    local lines = {}
    for i, name in ipairs { "chain", "seals", "rebuild", "integrity" } do
        lines[i] = { name = name, verdict = verdict, detail = detail }
    end
    lines[1].next = next_step
    return lines
end

local function integrity()
    local line = { name = "integrity", verdict = "fail", next = text "deep.damaged.next" }
    local rows, err = require("tael.store").query("doctor.integrity")
    if not rows then
        line.detail = text("deep.unreadable", { reason = err.message })
        return line
    elseif #rows == 1 and rows[1].detail == "ok" then
        return {
            name = "integrity", verdict = "ok", detail = text "deep.integrity",
        }
    end
    line.detail, line.more = text "deep.damaged", {}
    for i, row in ipairs(rows) do
        line.more[i] = row.detail
    end
    return line
end

--- Here, in the file that this command has opened.
local function prove(call)
    local opened, err = keyring.open(call.config)
    if not opened then
        error(err, 0)
    end
    require("tael.kernel.registry").load(call.config)
    return deep.lines(require("tael.kernel.rebuild").verify())
end

local function message_of(wrong)
    return type(wrong) == "table" and (wrong.message or wrong.code) or (tostring(wrong):match("^[^\n]*"))
end

---@param call tael.cli.Call
---@return table[] checks {name, verdict, detail, next?, more?}
function deep.checks(call)
    local kind = call.pass.store
    if kind == "owned" then
        return all("fail", text "deep.owned", text "deep.owned.next")
    elseif kind == "refused" then
        return all("fail", text "deep.refused")
    elseif kind ~= "open" then
        return all("ok", text "deep.nothing")
    end
    local ran, lines = pcall(prove, call)
    if not ran then
        lines = all("fail", message_of(lines), text "deep.failed.next")
        lines[#lines] = nil
    end
    lines[#lines + 1] = integrity()
    return lines
end

return deep
