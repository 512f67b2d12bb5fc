--- What a person reads when `tael dev` has started.
local demo = require "tael.config.demo"
local plan_of = require "tael.config.plan"

local banner = {}

local WIDTH = 63 -- where "ready in …" begins

local function channels(config)
    local seen, list = {}, {}
    for _, merchant in pairs(config.merchants) do
        for _, account in pairs(merchant.accounts or {}) do
            local simulated = account.alipay_key == demo.SANDBOX_KEY
            local mark = account.channel .. (simulated and " ✓sim" or " " .. account.environment)
            if not seen[mark] then
                seen[mark], list[#list + 1] = true, mark
            end
        end
    end
    table.sort(list)
    return table.concat(list, "   ")
end

--- A path as it is written from the folder of the configuration.
local function from(root, path)
    return path:sub(1, #root + 1) == root .. "/" and path:sub(#root + 2) or path
end

local function watched(config)
    local _, shown = plan_of.own_scripts(config, config.source)
    local scripts = shown .. "/"
    local file = config.source.path
    return file and scripts .. " and " .. from(config.source.root, file) or scripts
end

---@param config table
---@param ms integer from the command to the first request that can be answered
---@return string
function banner.text(config, ms)
    local title = ("tael %s  dev mode (fake channels, real signatures)"):format(config.version)
    local ahead = require("tael.time").advanced() // 1000
    local lines = {
        title .. (" "):rep(math.max(2, WIDTH - #title)) .. ("ready in %.1f s"):format(ms / 1000),
        ("  api      %s        test key  %s  (saved for this folder)"):format(config.http.public_url,
            demo.api_key(config) or "?"),
        "  channels " .. channels(config),
        "  sandbox  http://" .. config.sandbox.listen .. (config.operations.listen
            and "        operations  http://" .. config.operations.listen or ""),
    }
    if not config.source.path then
        lines[#lines + 1] = "  folder   no tael.lua in " .. config.source.root
            .. ": the demo merchant runs; tael init makes a folder of your own"
    end
    if ahead > 60 then
        lines[#lines + 1] = ("  clock    %d s ahead, as the store was left"):format(ahead)
    end
    lines[#lines + 1] = "  watching " .. watched(config) .. " — save a file to reload"
    return table.concat(lines, "\n") .. "\n"
end

return banner
