--- Events as the API shows them. A merchant's events are found by its seals, then by the unsealed last
--- second, behind what is sealed of all merchants: no index has events by merchant. The one writer stamps
--- ids in the order of commits, so ascending ids miss nothing and repeat nothing. A payment's events are its
--- chain, walked from the row's last_event.
local fold = require "tael.kernel.fold"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local seals = require "tael.kernel.seals"
local store = require "tael.store"
local task = require "tael.task"
local views = require "tael.kernel.views"

local events = {}

local TAIL = 1000
local SCAN = 2000 -- ids looked at for one page when a type is asked for
local TURN = 64   -- events read in one turn: others wait for no more
local SEALS = 8   -- looked for in one turn: each may hold a thousand ids

local function unavailable()
    return nil, { code = "store_unavailable", detail = "the store did not answer; ask again" }
end

local function row_of(id)
    local rows, err = store.query("event.get", { event = id })
    if not rows then
        return nil, err
    end
    return rows[1]
end

--- After so many of them others go on first.
local function turn(count, most)
    if count % (most or TURN) == 0 then
        task.last()
    end
end

--- The event and those before it in its chain, newest first; nil when one cannot be read.
local function chain_to(row)
    local list, at = {}, row
    while at do
        list[#list + 1] = at
        turn(#list)
        local before = at.prev
        at = before and row_of(before)
        if before and not at then
            return nil
        end
    end
    return list
end

--- The object of the event, of which `folded` is the payment as of then. A payment's next_action is for who
--- created it, not for the record, and an attempt's calls are asked for at the payment.
local function object_of(row, folded)
    local kind = row.type:match("^(%l+)%.")
    if kind == "refund" and folded.refunds[row.object] then
        return views.refund(folded.refunds[row.object])
    elseif kind == "attempt" and folded.attempts[row.object] then
        return views.attempt(folded.attempts[row.object], nil, folded.details.decision)
    end
    return views.payment_with(folded.payment, folded.details, folded.attempts[folded.payment.attempt],
        json.null)
end

--- The newest event of each payment among these.
local function newest_of(rows)
    local list, at = {}, {}
    for _, row in ipairs(rows) do
        local i = at[row.payment] or #list + 1
        at[row.payment] = i
        list[i] = list[i] and list[i].version > row.version and list[i] or row
    end
    return list
end

--- The objects of events, each as of its event. A payment's chain is read and folded once for all of them: it
--- may be long, and most of a page be of one payment.
---@param rows table[] of events
---@return table<integer, table>? objects by the event's id; nil when an event cannot be read
local function objects_as_of(rows)
    local wanted, objects = {}, {}
    for _, row in ipairs(rows) do
        wanted[row.id] = true
    end
    for _, newest in ipairs(newest_of(rows)) do
        local folded, chain = fold.new(), chain_to(newest)
        if not chain then
            return nil
        end
        for i = #chain, 1, -1 do
            turn(i)
            fold.add(folded, chain[i])
            objects[chain[i].id] = wanted[chain[i].id] and object_of(chain[i], folded) or nil
        end
    end
    return objects
end

--- Of a seal that cannot be read nobody knows whether it is there: that is no event without one.
---@param seal integer? its number where that is known
---@return table? view
local function view_of(row, object, seal)
    local err
    if not seal then
        seal, err = seals.number_of(row.id)
    end
    return not err and views.event(row, object, seal) or nil
end

---@param text string "evt_…"
---@return table? view
---@return table? err
function events.get(text)
    local id = ids.decode("evt", text)
    local row, err
    if id then
        row, err = row_of(id)
    end
    if err then
        return unavailable()
    elseif not row then
        return nil, { code = "not_found", detail = "there is no such event" }
    end
    local objects = objects_as_of { row }
    local view = objects and view_of(row, objects[row.id])
    if not view then
        return unavailable()
    end
    return view
end

-- ---- ids in the order of commits ----

--- Seals from a number on, in one direction, as lists of { id, seal number }.
local function seal_ids(number, step, each)
    while number >= 1 do
        local rows = store.query("seal.by_number", { number = number })
        if not rows then
            return nil
        elseif not rows[1] then
            return true
        end
        local list = seals.decode(rows[1].events)
        for i = step > 0 and 1 or #list, step > 0 and #list or 1, step do
            if not each(list[i], number) then
                return true
            end
        end
        number = number + step
    end
    return true
end

local function last_seal()
    local rows = store.query("seal.last")
    if not rows then
        return nil
    end
    local last = rows[1]
    if not last then
        return { number = 0, upto = 0 }
    end
    local list = seals.decode(last.events)
    return { number = last.number, upto = list[#list] }
end

--- Ids above `after`, rising, until each says no.
local function ascend(after, each)
    local last, more = seals.position(), true -- first: what is sealed up to there, the seals have
    if not last then
        return nil
    end
    local from, err = 1, nil
    if after > 0 then
        from, err = seals.number_of(after)
    end
    if err then
        return nil
    elseif from then
        local done = seal_ids(from, 1, function(id, number)
            last = math.max(last, id)
            if id > after then
                more = each(id, number)
            end
            return more
        end)
        if not done then
            return nil
        end
    end
    while more do
        local rows = store.query("event.tail", { after = math.max(after, last), n = TAIL })
        if not rows then
            return nil
        end
        for _, row in ipairs(rows) do
            last = row.id
            more = more and each(row.id, nil)
        end
        more = more and #rows == TAIL
    end
    return true
end

--- Unsealed ids below `before`, falling, until each says no: the sealer may be far behind.
---@return boolean? more nil: the store did not answer
local function descend_tail(upto, before, each)
    local more = before > upto
    while more do
        local rows = store.query("event.tail_back", { after = upto, before = before, n = TAIL })
        if not rows then
            return nil
        end
        for _, row in ipairs(rows) do
            if not each(row.id, nil) then
                return false
            end
            before = row.id
        end
        more = #rows == TAIL
    end
    return true
end

--- Ids below `before`, falling, until each says no.
local function descend(before, each)
    local sealed = seals.position() -- first: what is sealed up to there, the seals have
    local last = sealed and last_seal()
    if not last then
        return nil
    end
    local more = descend_tail(math.max(last.upto, sealed), before, each)
    if more == nil then
        return nil
    elseif not more then
        return true
    end
    local from = last.number
    if before < math.maxinteger and before <= last.upto then
        from = seals.number_of(before) or last.number
    end
    return seal_ids(from, -1, function(id, number)
        return id >= before or each(id, number)
    end)
end

-- ---- lists ----

--- Collects matching rows until the page is full or enough has been looked at; next is where to go on. One
--- that the store does not give makes the page worthless: whoever goes on behind it would never see it.
local function collector(filters)
    local page = { rows = {}, seals = {}, seen = 0 }
    function page.each(id, seal)
        local row, err = row_of(id)
        if err then
            page.unread = true
            return false
        end
        page.seen, page.last = page.seen + 1, id
        turn(page.seen)
        if row and (not filters.type or row.type == filters.type) then
            page.rows[#page.rows + 1], page.seals[id] = row, seal
        end
        if #page.rows == filters.limit or page.seen == SCAN then
            page.next = id
            return false
        end
        return true
    end
    return page
end

local function list_chain(filters)
    local rows = store.query("payment.get", { payment = filters.payment })
    if not rows then
        return unavailable()
    end
    local page, at = collector(filters), rows[1] and rows[1].last_event
    local before = filters.before or math.maxinteger
    local found = {}
    while at do
        local row = row_of(at)
        if not row then
            return unavailable()
        end
        found[#found + 1] = at
        turn(#found)
        at = row.prev
    end
    local from, to, step = 1, #found, 1
    if filters.after then
        from, to, step = #found, 1, -1
    end
    for i = from, to, step do
        local id = found[i]
        local wanted = id < before and id > (filters.after or 0)
        if wanted and not page.each(id, nil) then
            page.next = i ~= to and id or nil
            break
        end
    end
    return page
end

local function page_of(filters)
    if filters.after and filters.after > 0 then
        local row, err = row_of(filters.after)
        if err then
            return unavailable()
        elseif not row then
            local detail = "after names no event of yours"
            return nil, { code = "invalid_parameter", detail = detail, errors = {
                { parameter = "after", code = "invalid_parameter", detail = detail } } }
        end
    end
    if filters.payment then
        return list_chain(filters)
    end
    local page = collector(filters)
    local done
    if filters.after then
        done = ascend(filters.after, page.each)
    else
        done = descend(filters.before or math.maxinteger, page.each)
    end
    if not done then
        return unavailable()
    end
    return page
end

--- With `after` in the order of commits, nothing missed and nothing twice; else newest first. `next` is the
--- id to go on from: an `after` or a `before`.
---@param filters { limit: integer, after: integer?, before: integer?, type: string?, payment: integer? }
---@return table[]? views
---@return integer|table|nil next, or err
---@return integer? last id that was looked at, shown or not
function events.list(filters)
    local page, err = page_of(filters)
    if not page then
        return nil, err
    elseif page.unread then
        return unavailable()
    end
    local list, objects = {}, objects_as_of(page.rows)
    if not objects then
        return unavailable()
    end
    for i, row in ipairs(page.rows) do
        turn(i, SEALS)
        list[i] = view_of(row, objects[row.id], page.seals[row.id])
        if not list[i] then
            return unavailable()
        end
    end
    return list, page.next, page.last
end

return events
