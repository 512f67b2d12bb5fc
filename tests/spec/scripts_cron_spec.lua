-- Schedules: what crontab(5) means, on a fixed clock; held against a search minute by minute.
local cron = require "tael.scripts.cron"
local time = require "tael.time"

local MINUTE = 60000

local function ms(text)
    return assert(time.parse_rfc3339(text))
end

local function next_of(schedule, after, zone)
    return time.rfc3339(assert(cron.read(schedule, zone)):next(ms(after)))
end

describe("a schedule", function()
    it("falls on what its fields say", function()
        local cases = {
            { "* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00.000Z" },
            { "* * * * *", "2026-01-01T00:00:59.999Z", "2026-01-01T00:01:00.000Z" },
            { "15 3 * * *", "2026-01-01T03:15:00Z", "2026-01-02T03:15:00.000Z" },
            { "*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00.000Z" },
            { "5,35 8-10/2 * * *", "2026-01-01T08:35:00Z", "2026-01-01T10:05:00.000Z" },
            { "0 0 1 * *", "2026-01-31T12:00:00Z", "2026-02-01T00:00:00.000Z" },
            { "0 0 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z" },
            { "0 12 * * mon-fri", "2026-01-02T13:00:00Z", "2026-01-05T12:00:00.000Z" },
            { "0 12 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T12:00:00.000Z" },
            { "0 12 * * sun", "2026-01-01T00:00:00Z", "2026-01-04T12:00:00.000Z" },
            { "0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00.000Z" }, -- either day
            { "0 0 13 * fri", "2026-01-10T00:00:00Z", "2026-01-13T00:00:00.000Z" },
            { "0 0 31 12 *", "2026-12-31T00:00:00Z", "2027-12-31T00:00:00.000Z" },
            { "0 0 1 3 */7", "2026-03-01T00:00:00Z", "2037-03-01T00:00:00.000Z" }, -- both days
            { "0 0 29 2 */7", "2088-02-29T00:00:00Z", "2128-02-29T00:00:00.000Z" },
        }
        for _, case in ipairs(cases) do
            assert.equal(case[3], next_of(case[1], case[2]), case[1])
        end
    end)

    it("is found without a look at each day of the months that it leaves out", function()
        local schedule, days = assert(cron.read "0 0 1 1 *"), 0
        schedule.is_day = function(self, day)
            days = days + 1
            return getmetatable(self).is_day(self, day)
        end
        assert.equal(ms "2027-01-01T00:00:00Z", schedule:next(ms "2026-01-01T00:00:00Z"))
        assert.equal(ms "2026-01-01T00:00:00Z",
            schedule:last(ms "2025-01-01T00:00:00Z", ms "2026-12-31T23:59:00Z"))
        assert.is_true(days < 150)
    end)

    it("has a clock of its own", function()
        assert.equal("2026-01-01T19:15:00.000Z", next_of("15 3 * * *", "2026-01-01T00:00:00Z", "+08:00"))
        assert.equal("2026-01-01T08:15:00.000Z", next_of("15 3 * * *", "2026-01-01T00:00:00Z", "-05:00"))
        assert.equal("2026-02-28T16:00:00.000Z", next_of("0 0 1 3 *", "2026-01-01T00:00:00Z", "+08:00"))
    end)

    it("is what a search minute by minute finds", function()
        local schedule = assert(cron.read("7-50/9,3 */5 1-7,20 * wed,6", "+05:30"))
        local from = ms "2026-02-25T00:00:00Z"
        local at, expected = from, {}
        for minute = 1, 20 * 1440 do
            local local_ms = from + minute * MINUTE + schedule.offset
            local days, rest = local_ms // 86400000, local_ms // MINUTE % 1440
            if schedule:is_day(days) and schedule.hour[rest // 60] and schedule.minute[rest % 60] then
                expected[#expected + 1] = from + minute * MINUTE
            end
        end
        assert.is_true(#expected > 100)
        for _, slot in ipairs(expected) do
            assert.equal(at ~= from and at or nil, schedule:last(from, slot - 1))
            at = schedule:next(at)
            assert.equal(slot, at)
        end
    end)

    it("knows its newest slot of a time, however long that was", function()
        local daily, yearly = assert(cron.read "30 6 * * *"), assert(cron.read "0 0 1 1 *")
        local function last(schedule, from, upto)
            local slot = schedule:last(ms(from), ms(upto))
            return slot and time.rfc3339(slot)
        end
        assert.equal("2026-03-10T06:30:00.000Z", last(daily, "2026-01-01T00:00:00Z", "2026-03-10T06:30:00Z"))
        assert.equal("2026-03-09T06:30:00.000Z", last(daily, "2026-01-01T00:00:00Z", "2026-03-10T06:29:59Z"))
        assert.is_nil(last(daily, "2026-03-10T06:30:00Z", "2026-03-10T12:00:00Z"))
        assert.equal("2026-01-01T00:00:00.000Z", last(yearly, "2024-05-01T00:00:00Z", "2026-12-01T00:00:00Z"))
        assert.is_nil(last(yearly, "2026-05-01T00:00:00Z", "2026-12-01T00:00:00Z"))
    end)

    it("says what is wrong with it", function()
        local cases = {
            { "* * * *", "has 4 fields" }, { "60 * * * *", "'60' is no minute (0 to 59)" },
            { "* 24 * * *", "is no hour" }, { "* * 0 * *", "is no day of the month (1 to 31)" },
            { "* * * 13 *", "is no month" }, { "* * * * 8", "is no day of the week" },
            { "*/0 * * * *", "'*/0'" }, { "5/2 * * * *", "'5/2'" }, { "5-1 * * * *", "'5-1'" },
            { "1,,2 * * * *", "''" }, { "a * * * *", "'a'" }, { "-1 * * * *", "'-1'" },
            { "1- * * * *", "'1-'" },
            { "*/ * * * *", "'*/'" }, { "0 0 30 feb *", "there is no such day" }, { 5, "is a text" },
        }
        for _, case in ipairs(cases) do
            local schedule, wrong = cron.read(case[1])
            assert.is_nil(schedule)
            assert.is_truthy(wrong:find(case[2], 1, true), wrong)
        end
        for _, zone in ipairs { "Asia/Shanghai", "+8:00", "+15:00", "+08:60", 8 } do
            local _, wrong = cron.read("* * * * *", zone)
            assert.matches("^zone is a text", wrong)
        end
    end)
end)
