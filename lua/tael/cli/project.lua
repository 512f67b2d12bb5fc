--- tael init: a folder in which `tael dev` runs. Writes over nothing.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local machine = require "tael.machine"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of

local project = { name = "init", usage = "[DIR]", min = 0, max = 1, any_config = true }

local NAME_MAX = 20
local FALLBACK = "shop"

--- A link that leads nowhere is there too: what is written to it would be written somewhere else.
local function is_there(path)
    return settings.exists(path) or machine.is_link(path)
end

--- The folder as its maker wrote it, and what stands before a file in it.
local function folder_of(rest)
    local folder = rest[1] and rest[1]:gsub("(.)/+$", "%1")
    if not folder or folder == "." or folder == "" then
        return nil, ""
    end
    return folder, folder == "/" and "/" or folder .. "/"
end

--- A slug from the folder's name, which may be in any language.
---@param path string
---@return string
function project.slug(path)
    local name = path:match("([^/]+)/*$") or FALLBACK
    local slug = name:lower():gsub("[^a-z0-9]+", "-"):gsub("^[^a-z]+", ""):sub(1, NAME_MAX):gsub("%-+$", "")
    return #slug >= 2 and slug or FALLBACK
end

--- The name for people: of the folder, as it is written.
local function name_of(folder, root)
    return (((folder or root):match("([^/]+)/*$") or FALLBACK):gsub("%c", " "))
end

--- Folders in front of a file: "scripts/merchants/shop.test/spec".
local SCRIPTS = "scripts/merchants/%s.test"

function project.plan(plan, _, about)
    local folder, prefix = folder_of(about.rest)
    if is_there(prefix .. "tael.lua") then
        return
    end
    local at, folders = "", folder and { folder } or {}
    for part in (SCRIPTS:format(project.slug(name_of(folder, about.root))) .. "/spec"):gmatch("[^/]+") do
        at = at .. (at ~= "" and "/" or "") .. part
        folders[#folders + 1] = prefix .. at
    end
    plan.folders = folders
end

-- ---- what is written ----

local CONFIGURATION = [[
-- %s
-- %s
return {
    dev = true, -- %s

    merchants = {
        ["{slug}.test"] = {
            name = {name}, mode = "test",
            accounts = {
                -- %s
                ["alipay-{slug}"] = {
                    channel = "alipay", environment = "sandbox",
                    app_id = "2021000000000001", seller_id = "2088000000000001",
                    key = "{slug}.alipay", alipay_key = "sandbox.alipay",
                },
            },
        },
    },
}
]]

---@param slug string
---@param name string shown to payers
---@return string
function project.configuration(slug, name)
    local commented = CONFIGURATION:format(text "init.comment.show", text "init.comment.check",
        text "init.comment.dev", text "init.comment.account")
    return (commented:gsub("{(%l+)}", { slug = slug, name = ("%q"):format(name) }))
end

local IGNORED = "data/\n"

local RULES = [[
-- {comment}
local rules = {}

---@param payment tael.PaymentInput
---@return "allow"|"review"|"deny" risk
---@return string? reason
function rules.risk(payment)
    if payment.amount >= 100000000 then -- {million}
        return "review", "a large amount: look at it first"
    end
    return "allow"
end

return rules
]]

local SPEC = [[
-- {comment}
local t = require "tael.test"

describe("risk", function()
    it("wants large amounts looked at", function()
        assert.are.equal("review", (t.rules.risk(t.payment { amount = 100000000 })))
    end)

    it("lets others go", function()
        assert.are.equal("allow", (t.rules.risk(t.payment { amount = 99999999 })))
    end)
end)
]]

--- A merchant's first rule and its spec.
---@return string rules
---@return string spec
function project.scripts()
    local rules = RULES:gsub("{(%l+)}", { comment = text "init.comment.rules",
        million = text "init.comment.million" })
    local spec = SPEC:gsub("{(%l+)}", { comment = text "init.comment.spec" })
    return rules, spec
end

--- For editors: the language, and what tael.lua and specs may use.
local function editor_settings(call)
    return json.encode({
        ["runtime.version"] = "Lua 5.4", ["diagnostics.globals"] = json.array { "env", "file", "secret",
            "describe", "it", "pending", "before_each", "after_each" },
        ["workspace.library"] = json.array { call.options.lua_root .. "/tael/meta" },
    }, { sort = true }) .. "\n"
end

--- Half a file is none: the next time it would be in the way.
local function put_file(path, content)
    local file, reason = io.open(path, "wb")
    if not file then
        return nil, reason
    end
    local done, failed = file:write(content)
    local closed, unflushed = file:close()
    if done and closed then
        return true
    end
    os.remove(path)
    return nil, failed or unflushed
end

local function write(path, content)
    local done, reason = put_file(path, content)
    if not done then
        return exits.fail(exits.no, text("init.unwritten", { path = path, reason = reason }),
            text "init.unwritten.next")
    end
    return true
end

-- ---- the command ----

local function write_all(files, prefix)
    local created = {}
    for _, file in ipairs(files) do
        if not is_there(prefix .. file[1]) then
            local written, failure = write(prefix .. file[1], file[2])
            if not written then
                return nil, failure
            end
            created[#created + 1] = file[1]
        end
    end
    return created
end

function project.run(call)
    local folder, prefix = folder_of(call.rest)
    if is_there(prefix .. "tael.lua") then
        return exits.fail(exits.no, text("init.exists", { path = prefix .. "tael.lua" }),
            text "init.exists.next")
    end
    local name = name_of(folder, call.options.root)
    local slug, rules, spec = project.slug(name), project.scripts()
    local scripts = SCRIPTS:format(slug)
    local created, failure = write_all({
        { "tael.lua", project.configuration(slug, name) }, { scripts .. "/rules.lua", rules },
        { scripts .. "/spec/rules_spec.lua", spec }, { ".gitignore", IGNORED },
        { ".luarc.json", editor_settings(call) },
    }, prefix)
    if not created then
        return nil, failure
    elseif call.json then
        screen.object { folder = folder or ".", files = json.array(created) }
        return exits.done
    end
    local place = folder and prefix .. "  " or ""
    screen.line(text("init.created", { files = place .. table.concat(created, "  ") }))
    local go = folder and "cd " .. screen.word(folder) .. " && " or ""
    screen.line(text("label.next", { step = go .. "tael dev" }))
    return exits.done
end

return project
