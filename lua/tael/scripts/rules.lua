--- Asking a merchant's rules: all that concern a payment in one crossing, each with its default.
--- 1 A rule cannot keep a payment from being decided: one that fails, overruns or gives something else than
--- its contract says has its declared default, and a person is told. 2 Scripts whose rules used up their
--- budget again and again, or ended the process that they ran in, are not asked for a while, and neither are
--- those that take more than their merchant's share of the worker.
local alarms = require "tael.kernel.alarms"
local budgets = require "tael.scripts.budgets"
local contract = require "tael.scripts.contract"
local generations = require "tael.scripts.generations"
local loading = require "tael.scripts.loading"
local metrics = require "tael.kernel.metrics"
local places = require "tael.scripts.places"
local shares = require "tael.scripts.shares"
local suspensions = require "tael.scripts.suspensions"
local time = require "tael.time"

local rules = {}

---@class tael.scripts.Verdict
---@field by "rule"|"default"
---@field generation string?
---@field failed boolean? the default is that of a rule that failed
---@field [string] any what the contract's check gives: risk, reason, ways, max_amount

local suspension = suspensions.new "rules"

local count = metrics.by_two("tael_rules_total", "rule", "result")

---@type table<string, tael.scripts.Verdict> what holds where there is no such rule: one for all, to be read
local absent = {}

local function default_of(rule, which, generation)
    local verdict = { by = "default", generation = generation and generation.id,
        failed = which == "failed" or nil }
    for name, value in pairs(contract.rules[rule][which]) do
        verdict[name] = value
    end
    return verdict
end

for rule in pairs(contract.rules) do
    absent[rule] = default_of(rule, "absent")
end

local function failed(rule, generation)
    count(rule, "failed")
    return default_of(rule, "failed", generation)
end

local function fail(merchant, rule, generation, failure, detail)
    alarms.raise("rule_failed", { merchant = merchant, rule = rule, failure = failure, detail = detail,
        generation = generation.id })
    return failed(rule, generation)
end

local function verdict_of(merchant, rule, generation, answer)
    if not answer[1] then
        return fail(merchant, rule, generation, answer[2], answer[3])
    end
    local verdict, wrong = contract.rules[rule].check(answer[2], answer[3])
    if not verdict then
        return fail(merchant, rule, generation, "shape", ("merchants/%s/%s: %s: %s"):format(merchant,
            places.of(generation, loading.RULES, rule), rule, wrong))
    end
    verdict.by, verdict.generation = "rule", generation.id
    count(rule, "asked")
    return verdict
end

---@class tael.scripts.Asked one crossing, which is the same each time
---@field calls (string|integer)[][] those of the wanted rules that there are
---@field rules string[] their names
---@field missing string[] names of the others
---@field inputs string[] names, at most three

local function make_calls(generation, wanted)
    local asked, place = { calls = {}, rules = {}, missing = {}, inputs = {} }, {}
    local names = asked.inputs
    for _, rule in ipairs(wanted) do
        if generation.rules[rule] then
            local call = { rule }
            for _, arg in ipairs(contract.rules[rule].args) do
                if arg ~= "history" or generation.counting then -- nobody asks for it
                    if not place[arg] then
                        names[#names + 1] = arg
                        place[arg] = #names
                    end
                    call[#call + 1] = place[arg]
                end
            end
            asked.calls[#asked.calls + 1], asked.rules[#asked.rules + 1] = call, rule
        else
            asked.missing[#asked.missing + 1] = rule
        end
    end
    assert(#names <= 3)
    return asked
end

---@type table<tael.scripts.Generation, table<string[], tael.scripts.Asked>>
local made = setmetatable({}, { __mode = "k" })
local BY_LIST = { __mode = "k" }

---@return tael.scripts.Asked
local function calls_of(generation, wanted)
    local of = made[generation]
    if not of then
        of = setmetatable({}, BY_LIST)
        made[generation] = of
    end
    local asked = of[wanted]
    if not asked then
        asked = make_calls(generation, wanted)
        of[wanted] = asked
    end
    return asked
end

--- Who asks and leaves pays all the same.
local CUT = { __close = function(cut)
    if not cut.ended then
        shares.charge_cut("rules", cut.merchant, cut.begun, budgets.rule_steps)
    end
end }

--- Puts what those that there are say into verdicts.
local function ask(merchant, generation, asked, inputs, verdicts)
    local given, names, list, killed = inputs(generation.counting), asked.inputs, asked.rules, false
    local cut <close> = setmetatable({ merchant = merchant, begun = time.monotonic(), ended = false }, CUT)
    local answers, used = generation.unit:ask(loading.RULES, asked.calls,
        { given[names[1]], given[names[2]], given[names[3]] }, budgets.rule_steps)
    cut.ended = true
    shares.charge("rules", merchant, used)
    for i = 1, #list do
        local rule, answer = list[i], answers[i]
        killed = killed or not answer[1] and suspensions.KILLS[answer[2]]
        verdicts[rule] = verdict_of(merchant, rule, generation, answer)
    end
    if killed then
        suspension.note(merchant, generation)
    end
end

local function all_failed(list, generation, verdicts)
    for _, rule in ipairs(list) do
        verdicts[rule] = failed(rule, generation)
    end
end

--- What the merchant's rules say. Inputs are made only when somebody is asked.
---@param merchant string slug
---@param wanted string[] names of rules
---@param inputs fun(counting: tael.scripts.Counting?): table<string, table|tael.isolate.Packed> plain data by
--- name, as the contract's args; given what the rules want to know of the past
---@return table<string, tael.scripts.Verdict> by rule, one for each that was wanted; read only
---@return tael.scripts.Counting? counting what the scripts that run want counted, asked or not
function rules.ask(merchant, wanted, inputs)
    local generation, broken = generations.of(merchant)
    if not generation and not broken then
        return absent
    end
    local verdicts = { limits = nil, risk = nil, price = nil, route = nil } -- room for them
    if not generation then
        all_failed(wanted, nil, verdicts)
        return verdicts
    end
    local asked = calls_of(generation, wanted)
    if #asked.calls == 0 then
        return absent, generation.counting
    elseif suspension.rests(generation) or shares.over("rules", merchant) then
        all_failed(asked.rules, generation, verdicts)
    else
        ask(merchant, generation, asked, inputs, verdicts)
    end
    local missing = asked.missing
    for i = 1, #missing do
        verdicts[missing[i]] = absent[missing[i]]
    end
    return verdicts, generation.counting
end

return rules
