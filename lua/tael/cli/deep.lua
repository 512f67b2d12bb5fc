--- The deep part of tael doctor: the store proved against its own record. A running engine proves it itself;
--- without one the file was opened by this command.
local exits = require "tael.cli.exits"

local deep = {}

local SHOWN = 10

local line_of_kind = { chain = "chain", seal = "seals", row = "rebuild", missing = "rebuild", evidence = "rebuild" }

local DAMAGED = "the store was changed from outside or is damaged: stop the engine, keep a copy of the file, "
    .. "and compare with a backup"

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
    local good = {
        chain = ("%d events of %d payments"):format(counts.events, counts.payments),
        seals = ("%d events"):format(counts.events),
        rebuild = ("%d payments, %d attempts follow from their events"):format(counts.payments, counts.attempts),
    }
    local lines = {}
    for i, name in ipairs { "chain", "seals", "rebuild" } do
        local list = found[name]
        lines[i] = { name = name, verdict = "ok", detail = good[name] }
        if #list > 0 then
            lines[i] = { name = name, verdict = "fail", next = DAMAGED, more = { table.unpack(list, 1, SHOWN) },
                detail = #list .. (#list == 1 and " difference" or " differences") }
        end
    end
    return lines
end

local function all(verdict, detail, next_step)
    local lines = {}
    for i, name in ipairs { "chain", "seals", "rebuild", "integrity" } do
        lines[i] = { name = name, verdict = verdict, detail = detail }
    end
    lines[#lines].next = next_step
    return lines
end

local function integrity()
    local rows, err = require("tael.store").query("doctor.integrity")
    if not rows then
        return { name = "integrity", verdict = "fail", detail = "the file cannot be read: " .. tostring(err.code),
            next = DAMAGED }
    end
    local wrong = {}
    for i, row in ipairs(rows) do
        wrong[i] = row.detail
    end
    if #wrong == 1 and wrong[1] == "ok" then
        return { name = "integrity", verdict = "ok", detail = "every page, index and constraint of the file" }
    end
    return { name = "integrity", verdict = "fail", detail = "the file is damaged", more = wrong, next = DAMAGED }
end

--- Here, in the file that this command has opened.
local function prove(call)
    local registry = require "tael.kernel.registry"
    local rebuild = require "tael.kernel.rebuild"
    registry.load(call.config)
    local lines = deep.lines(rebuild.verify())
    lines[#lines + 1] = integrity()
    return lines
end

local function message_of(wrong)
    return type(wrong) == "table" and (wrong.message or wrong.code) or (tostring(wrong):match("^[^\n]*"))
end

local function asked(call)
    local answer, failure = call.client:request("GET", "/-/verify", { any_merchant = true })
    if not answer then
        local verdict = failure.exit == exits.no and "warn" or "fail"
        return all(verdict, "an engine owns the store: " .. failure.message, "stop it and run tael doctor --deep")
    end
    local lines = deep.lines(answer.differences, answer.counts)
    lines[#lines + 1] = { name = "integrity", verdict = "warn",
        detail = "the file is read page by page only while no engine runs" }
    return lines
end

---@param call tael.cli.Call
---@return table[] checks {name, verdict, detail, next?, more?}
function deep.checks(call)
    local kind = call.pass.store
    if kind == "owned" then
        return asked(call)
    elseif kind ~= "open" then
        return all(kind == "refused" and "fail" or "warn", "there is no store to look into")
    end
    local ran, lines = pcall(prove, call)
    if not ran then
        return all("fail", message_of(lines), "correct what the lines above name, then run it again")
    end
    return lines
end

return deep
