--- A stored message once more: its bytes through today's checks, with today's keys and manifest. What it
--- proves is applied as far as the model still allows it; what was done already stays as it is.
--- 1 The bytes are those that were received, and their time is the one at which they were. 2 A message that
--- is not proved today leaves nothing behind but a line in the log.
local ids = require "tael.kernel.ids"
local inbound = require "tael.kernel.inbound"
local inspect = require "tael.kernel.inspect"
local json = require "tael.json"
local log = require "tael.log"
local notifications = require "tael.kernel.notifications"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local verdict = require "tael.kernel.verdict"

local replay = {}

--- The message as it came in; nil when it cannot be made again.
local function run_of(record, actor)
    local account = registry.account(record.account)
    local package, prepared = registry.package(account), registry.prepared(account)
    if not prepared or not package.notify then
        return nil, { code = "no_channel_available", detail = "the account is no longer configured" }
    end
    local raw = inspect.bytes_of(record)
    if not raw then
        return nil, { code = "state_conflict", detail = "its bytes are no longer kept",
            members = { state = record.verdict, allowed = json.array {} } }
    end
    local notify = package.notify
    return {
        id = store.next_id(), account = account, package = package, prepared = prepared, actor = actor,
        request = { method = notify.methods[1], body = raw,
            headers = { ["content-type"] = inbound.media[notify.content] } },
        source = record.source, at = record.at, recorded_at = time.now(), replayed = true,
        verdict = verdict.new(time.micros),
    }
end

local function report(run, record, effect)
    log.info("notification.replayed", { notification = ids.encode("ntf", record.id), effect = effect,
        channel = run.account.channel, account = run.account.slug, actor = run.actor })
end

local function replayed(record, actor)
    local run, err = run_of(record, actor)
    if not run then
        return nil, err
    end
    local refusal = inbound.check(run)
    if refusal then
        report(run, record, "refused: " .. refusal.check)
        local entry = notifications.entry_of(run, refusal)
        entry.id = record.id
        return inspect.view(entry, false)
    end
    local decision
    decision, err = notifications.act(run)
    if not decision then
        return payments.store_problem(err)
    end
    report(run, record, decision.effect)
    return inspect.get(ids.encode("ntf", run.id))
end

--- Runs a stored message again. The view is of what came of it: a row of its own, or, when it is not proved
--- today, the old one with today's checks.
---@param text string "ntf_…"
---@param actor string
---@return table? view
---@return table? err
function replay.run(text, actor)
    local record, err = inspect.find(text)
    if not record then
        return nil, type(err) == "table" and err or { code = "not_found" }
    end
    local scope = task.scope()
    task.set_scope(record.merchant)
    local view, why = replayed(record, actor)
    task.set_scope(scope)
    return view, why
end

return replay
