--- Effects on a merchant's own small state: texts by name in the store, compared and set by version, and
--- counters. A version is never used twice, so what was removed and made again is another.
local json = require "tael.json"
local metrics = require "tael.kernel.metrics"
local payments = require "tael.kernel.payments"
local plain = require "tael.scripts.plain"
local store = require "tael.store"
local time = require "tael.time"

local M = {}

local KEY_MAX, VALUE_MAX, KEYS_MAX = 128, 4096, 10000
local ROUNDS = 8 -- somebody else's change in between is a lost round

local function wrong_key(key)
    if key == "" or #key > KEY_MAX or key:find("[%c]") or not utf8.len(key) then
        return "key must be a text of 1 to 128 bytes without control characters"
    end
end

local function told(err)
    local _, problem = payments.store_problem(err)
    return nil, { code = problem.code, message = problem.detail, retriable = true }
end

local function read(key)
    local rows, err = store.query("script_state.get", { name = key })
    return rows and (rows[1] or false), err
end

M["state.get"] = function(_, key)
    local wrong = wrong_key(key)
    if wrong then
        return nil, wrong
    end
    local row, err = read(key)
    if row == nil then
        return told(err)
    elseif not row then
        return nil, 0
    end
    return plain.of(json.decode(row.value)), row.version
end

--- What has to be written on what there is.
local function unit_of(key, row, text)
    local params = { name = key, value = text, version_was = row and row.version or nil }
    if text then
        params.now = time.now()
        params.id = not row and store.next_id() or nil
    end
    local more = text and (row and 0 or 1) or -1
    local change = not text and "delete" or row and "update" or "insert"
    return {
        { "script_state.next", { more = more, most = KEYS_MAX } }, { "script_state." .. change, params },
    }
end

local CONFLICT = { code = "conflict", message = "the key has another version now" }
local FULL = { code = "limit_exceeded", message = "a merchant has at most 10000 keys" }

--- One try. conflict: the key is not as it was read.
local function try(key, text, version)
    local row, err = read(key)
    if row == nil then
        return told(err)
    elseif version and version ~= (row and row.version or 0) then
        return nil, CONFLICT
    elseif not text and not row then
        return 0
    end
    local done
    done, err = store.commit(unit_of(key, row, text))
    if done then
        return text and done.rows[2][1].version or 0
    elseif err.code == "guard" then
        return nil, err.otherwise == "full" and FULL or CONFLICT
    end
    return told(err)
end

M["state.put"] = function(_, key, value, version)
    local wrong = wrong_key(key)
    local text = value ~= nil and json.encode(value, { sort = true }) or nil
    if wrong or text and #text > VALUE_MAX then
        return nil, wrong or "value must have at most 4096 bytes as JSON"
    end
    local made, err
    for _ = 1, ROUNDS do
        made, err = try(key, text, version)
        if made or version or err ~= CONFLICT then
            break
        end
    end
    return made, err
end

-- ---- counters ----

local LABELS_MAX, LABEL_MAX, SERIES_MAX, VALUE_MOST = 4, 40, 200, 1000000000

local counters = {} ---@type table<integer, { count: integer, by: table<string, tael.kernel.Counter> }>

local function labels_text(labels)
    local names, parts = {}, {}
    for name, value in pairs(labels) do
        if not name:find("^[a-z][a-z0-9_]*$") or #name > LABEL_MAX or #value > LABEL_MAX
            or value:find("[%c\"\\,=]") or not utf8.len(value) then
            return nil, "labels are short texts by name, without quotes, '=' and ','"
        end
        names[#names + 1] = name
    end
    if #names > LABELS_MAX then
        return nil, "at most 4 labels"
    end
    table.sort(names)
    for i, name in ipairs(names) do
        parts[i] = name .. "=" .. labels[name]
    end
    return table.concat(parts, ",")
end

local function counter_of(merchant, name, text)
    local own = counters[merchant.id]
    if not own then
        own = { count = 0, by = {} }
        counters[merchant.id] = own
    end
    local key = name .. "\n" .. text
    if not own.by[key] and own.count < SERIES_MAX then
        own.count = own.count + 1
        own.by[key] = metrics.counter("tael_script_total", { merchant = merchant.slug, metric = name,
            labels = text })
    end
    return own.by[key]
end

function M.metric(run, name, value, labels)
    local text, wrong = labels_text(labels or {})
    if not name:find("^[a-z][a-z0-9_]*$") or #name > LABEL_MAX then
        return nil, "name must be a word of at most 40 small letters, digits and '_'"
    elseif value < 0 or value > VALUE_MOST then
        return nil, "value must be from 0 to 1000000000: a counter only grows"
    elseif not text then
        return nil, wrong
    end
    local counter = counter_of(run.merchant, name, text)
    if not counter then
        return nil, { code = "limit_exceeded", message = "a merchant has at most 200 counters" }
    end
    counter.count = counter.count + value
    return true
end

return M
