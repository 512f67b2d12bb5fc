--- What has changed between two texts or two sets of files, as unified diffs (the form of diff -u and git).
--- The shortest edit is found by E. W. Myers' greedy algorithm ("An O(ND) Difference Algorithm", 1986); where
--- texts differ too much for it, all lines between the first and the last difference are replaced.
local diff = {}

local EDITS_MAX, LOOKS_MAX = 400, 1000000 -- looks at a pair of lines, of all files: some 200 ms
local CONTEXT = 3 -- lines
local TURN = 4096 -- lines or looks, for which nobody else goes on

---@class tael.scripts.DiffWork
---@field looks integer left
---@field step fun() has taken one more line or look

--- A merchant may ask for as much as there is: others go on in between.
local function work_of(pause)
    local count = 0
    local function step()
        count = count + 1
        if count == TURN then
            count = 0
            pause()
        end
    end
    return { looks = LOOKS_MAX, step = pause and step or function() end }
end

local function lines_of(work, text)
    local lines = {}
    for line in text:gmatch "[^\n]*\n?" do
        work.step()
        if line ~= "" then
            lines[#lines + 1] = line
        end
    end
    return lines
end

--- How many lines are the same at both ends.
local function common(work, a, b)
    local first, last, least = 0, 0, math.min(#a, #b)
    while first < least and a[first + 1] == b[first + 1] do
        first = first + 1
        work.step()
    end
    while last < least - first and a[#a - last] == b[#b - last] do
        last = last + 1
        work.step()
    end
    return first, last
end

--- The furthest place on each diagonal, for each number of edits; nil: too many are needed.
local function trace(work, a, b, from, a_end, b_end)
    local n, m = a_end - from, b_end - from
    local reached, steps, looks = { [1] = 0 }, {}, work.looks
    for d = 0, math.min(n + m, EDITS_MAX) do
        local now = {}
        for k = -d, d, 2 do
            local down = k == -d or k ~= d and reached[k - 1] < reached[k + 1]
            local x = down and reached[k + 1] or reached[k - 1] + 1
            while x < n and x - k < m and a[from + x + 1] == b[from + x - k + 1] do
                x = x + 1
                looks = looks - 1
                work.step()
            end
            looks = looks - 1
            work.step()
            now[k] = x
            if x >= n and x - k >= m then
                steps[d], work.looks = now, looks
                return steps, d
            end
        end
        steps[d], work.looks = now, looks
        if looks < 0 then
            return nil
        end
        for k, x in pairs(now) do
            reached[k] = x
        end
    end
end

--- Which lines of each go.
local function walk_back(steps, d, from, n, m, removed, added)
    local x, y = n, m
    for edits = d, 1, -1 do
        local before, k = steps[edits - 1], x - y
        local down = k == -edits or k ~= edits and (before[k - 1] or -1) < (before[k + 1] or -1)
        local was_k = down and k + 1 or k - 1
        local was_x = before[was_k]
        local was_y = was_x - was_k
        if down then
            added[from + was_y + 1] = true
        else
            removed[from + was_x + 1] = true
        end
        x, y = was_x, was_y
    end
end

---@return table<integer, true> removed lines of a
---@return table<integer, true> added lines of b
local function edits_of(work, a, b)
    local removed, added = {}, {}
    local first, last = common(work, a, b)
    local a_end, b_end = #a - last, #b - last
    local steps, d = trace(work, a, b, first, a_end, b_end)
    if steps then
        walk_back(steps, d, first, a_end - first, b_end - first, removed, added)
        return removed, added
    end
    for i = first + 1, a_end do
        removed[i] = true
        work.step()
    end
    for i = first + 1, b_end do
        added[i] = true
        work.step()
    end
    return removed, added
end

--- All lines of both in their order: " same", "-gone", "+new", with their numbers.
local function merged(work, a, b)
    local removed, added = edits_of(work, a, b)
    local list, i, j = {}, 1, 1
    while i <= #a or j <= #b do
        work.step()
        if removed[i] then
            list[#list + 1] = { mark = "-", text = a[i], a = i, b = j }
            i = i + 1
        elseif added[j] then
            list[#list + 1] = { mark = "+", text = b[j], a = i, b = j }
            j = j + 1
        else
            list[#list + 1] = { mark = " ", text = a[i], a = i, b = j }
            i, j = i + 1, j + 1
        end
    end
    return list
end

--- From where to where hunks go, as places in the list.
local function hunks_of(work, list)
    local hunks = {}
    for at, line in ipairs(list) do
        work.step()
        local last = hunks[#hunks]
        if line.mark == " " then
            goto continue
        elseif last and at - CONTEXT <= last.to + 1 then
            last.to = math.min(at + CONTEXT, #list)
        else
            hunks[#hunks + 1] = { from = math.max(at - CONTEXT, 1), to = math.min(at + CONTEXT, #list) }
        end
        ::continue::
    end
    return hunks
end

local function range(first, count)
    return count == 1 and tostring(first) or ("%d,%d"):format(count == 0 and first - 1 or first, count)
end

local function add_hunk(work, out, list, hunk)
    local of_a, of_b = 0, 0
    for at = hunk.from, hunk.to do
        work.step()
        of_a = of_a + (list[at].mark ~= "+" and 1 or 0)
        of_b = of_b + (list[at].mark ~= "-" and 1 or 0)
    end
    local first = list[hunk.from]
    out[#out + 1] = ("@@ -%s +%s @@\n"):format(range(first.a, of_a), range(first.b, of_b))
    for at = hunk.from, hunk.to do
        work.step()
        local line = list[at]
        out[#out + 1] = line.mark .. line.text
        if line.text:sub(-1) ~= "\n" then
            out[#out + 1] = "\n\\ No newline at end of file\n"
        end
    end
end

local function hunks(work, a, b)
    local list, out = merged(work, lines_of(work, a), lines_of(work, b)), {}
    for _, hunk in ipairs(hunks_of(work, list)) do
        add_hunk(work, out, list, hunk)
    end
    return table.concat(out)
end

--- The hunks of a unified diff; "" when nothing differs.
---@param a string
---@param b string
---@return string
function diff.texts(a, b)
    return hunks(work_of(), a, b)
end

---@class tael.scripts.Change
---@field path string
---@field change "added"|"removed"|"changed"
---@field diff string

--- Files that differ, in the order of their paths.
---@param a table<string, string> texts by path
---@param b table<string, string>
---@param pause fun()? lets others go on in between
---@return tael.scripts.Change[]
function diff.files(a, b, pause)
    local paths, changes, work = {}, {}, work_of(pause)
    for _, files in ipairs { a, b } do
        for path in pairs(files) do
            if a[path] ~= b[path] and (files == a or not a[path]) then
                paths[#paths + 1] = path
            end
        end
    end
    table.sort(paths)
    for i, path in ipairs(paths) do
        local was, is = a[path], b[path]
        changes[i] = {
            path = path, change = not was and "added" or not is and "removed" or "changed",
            diff = ("--- %s\n+++ %s\n"):format(was and "a/" .. path or "/dev/null",
                is and "b/" .. path or "/dev/null") .. hunks(work, was or "", is or ""),
        }
    end
    return changes
end

return diff
