--- The deep part of tael doctor: the store proved against its own record, in the file that this
--- command has opened. What a running engine owns is not looked at: it changes under the eyes.
local deep = {}

local SHOWN = 10

local line_of_kind = {
    chain = "chain", seal = "seals", row = "rebuild", missing = "rebuild", evidence = "rebuild",
}

local DAMAGED = "the store was changed from outside or is damaged: do not start the engine, "
    .. "keep a copy of the file, compare with a backup"

local function number(count, word)
    return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
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
        chain = events .. " of " .. payments, seals = events,
        rebuild = ("%s, %s, compared with their events"):format(payments, number(counts.attempts, "attempt")),
    }
    local lines = {}
    for i, name in ipairs { "chain", "seals", "rebuild" } do
        local list = found[name]
        lines[i] = { name = name, verdict = "ok", detail = good[name] }
        if #list > 0 then
            lines[i] = {
                name = name, verdict = "fail", next = DAMAGED, more = { table.unpack(list, 1, SHOWN) },
                detail = number(#list, "difference"),
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
    local line = { name = "integrity", verdict = "fail", next = DAMAGED }
    local rows, err = require("tael.store").query("doctor.integrity")
    if not rows then
        line.detail = "the file cannot be read: " .. err.message
        return line
    elseif #rows == 1 and rows[1].detail == "ok" then
        return {
            name = "integrity", verdict = "ok", detail = "every page, index and constraint of the file",
        }
    end
    line.detail, line.more = "the file is damaged", {}
    for i, row in ipairs(rows) do
        line.more[i] = row.detail
    end
    return line
end

--- Here, in the file that this command has opened.
local function prove(call)
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
        return all("fail", "not looked at: a running engine owns the store",
            "stop the engine first, or look into a copy of the whole data folder")
    elseif kind == "refused" then
        return all("fail", "not looked at: the store cannot be opened")
    elseif kind ~= "open" then
        return all("ok", "there is nothing to look into yet")
    end
    local ran, lines = pcall(prove, call)
    if not ran then
        lines = all("fail", message_of(lines), "correct what the lines above name, then run it again")
        lines[#lines] = nil
    end
    lines[#lines + 1] = integrity()
    return lines
end

return deep
