--- Lists by what no index serves: of a million rows one may fit, and the thread that reads lists is
--- everybody's, the timers' too. So they are looked through piece by piece, newest first, one piece of a
--- worker at a time; who asks gets what so many pieces held, nothing perhaps, and where to go on.
local store = require "tael.store"
local task = require "tael.task"

local scanned = {}

local FIRST, LARGEST = 256, 2048 -- rows of a piece, each twice as large as the one before
local ROWS = 50000               -- looked at for one page
local WAITING_MAX, PATIENCE_MS = 64, 1000

-- ---- one at a time ----

local taken, waiting = false, 0

local function turn_key()
    local worker = task.worker()
    return "scanned.turn:" .. worker
end

local turn = setmetatable({}, { __close = function()
    taken = false
    task.wake(turn_key())
end })

local waiter = setmetatable({}, { __close = function() waiting = waiting - 1 end })

--- To be held in a to-be-closed variable: whoever is cut off gives it back.
---@return table? turn nil: too many want one
local function take_turn()
    if taken then
        if waiting >= WAITING_MAX then
            return nil
        end
        waiting = waiting + 1
        local _ <close> = waiter
        while taken do
            task.wait(turn_key(), PATIENCE_MS)
        end
    end
    taken = true
    return turn
end

-- ---- pieces ----

---@class tael.kernel.Scan
---@field piece string statement: where a piece ends. before, since, n; one row {low, seen}
---@field list string statement: what fits. before, since, n and the filters; rows with id, newest first

--- One piece below `before`, down to `since` at most. Changes params.
---@return table[]? rows
---@return integer|table|nil low nil: nothing is left below; or err
local function look(scan, params, before, since, size, wanted)
    local held <close> = take_turn()
    if not held then
        return nil, { code = "busy" }
    end
    local ends, err = store.query(scan.piece, { before = before, since = since, n = size })
    if not ends then
        return nil, err
    end
    local low, seen = ends[1].low, ends[1].seen
    if seen == 0 then
        return {}, nil
    end
    local rows
    params.before, params.since, params.n = before, low, wanted
    rows, err = store.query(scan.list, params)
    if not rows then
        return nil, err
    end
    return rows, seen == size and low or nil
end

--- ⏸ Up to `wanted` rows that fit, newest first.
---@param scan tael.kernel.Scan
---@param params table before, since and the filters; is changed
---@param wanted integer
---@return table[]? rows
---@return integer|table|nil rest where to go on (a `before`) when not all was looked at and too few were
---  found; or err of the store, "busy" when too many lists are looked through
function scanned.list(scan, params, wanted)
    local found, before, since, size, looked = {}, params.before, params.since, FIRST, 0
    while true do
        local rows, low = look(scan, params, before, since, size, wanted - #found)
        if not rows then
            return nil, low
        end
        table.move(rows, 1, #rows, #found + 1, found)
        looked = looked + size
        if #found >= wanted or not low then
            return found, nil
        elseif looked >= ROWS then
            return found, low
        end
        before, size = low, math.min(2 * size, LARGEST)
        if waiting > 0 then
            task.last() -- whoever was woken takes the next turn
        end
    end
end

return scanned
