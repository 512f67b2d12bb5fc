-- Channel packages as one generation: of a version's texts all are loaded, and what is the same is the same
-- package.
local folder = require "tael.folder"
local packages_of = require "tael.channel.packages"

local alipay = assert(folder.read "scripts/channels").files

local function changed(path, text)
    local files = {}
    for name, value in pairs(alipay) do
        files[name] = value
    end
    files[path] = text
    return files
end

describe("channel packages of a version", function()
    it("are all loaded, and asked for by name", function()
        local packages = packages_of.of(alipay)
        assert.equal("alipay", packages:get("alipay").name)
        assert.is_nil(packages:get "other")
        assert.is_nil(packages.root)
    end)

    it("are the same packages where their files are the same", function()
        local was = packages_of.of(alipay)
        local same = packages_of.of(alipay, was)
        assert.equal(was:get "alipay", same:get "alipay")
        assert.same({}, was:differing(same))
        local folder_ones = packages_of.again("scripts", was)
        assert.equal(was:get "alipay", folder_ones:get "alipay")
        local text = alipay["alipay/init.lua"]:gsub('en = "Alipay"', 'en = "Another"')
        local other = packages_of.of(changed("alipay/init.lua", text), was)
        assert.not_equal(was:get "alipay", other:get "alipay")
        assert.same({ "alipay" }, was:differing(other))
        assert.same({ "alipay" }, was:differing(packages_of.of {}))
        assert.same({ "alipay" }, packages_of.of({}):differing(was))
    end)

    for told, files in pairs {
        ["channels/alipay/init.lua:1: "] = changed("alipay/init.lua", "retrun {}"),
        ["channels/alipay/orders.lua:1: unknown global 'os'"] = changed("alipay/orders.lua", "os.exit()"),
        ["channels/stray.lua: is in no channel's folder"] = changed("stray.lua", "return {}"),
        ["channels/a_b/init.lua: is in no channel's folder"] = changed("a_b/init.lua", "return {}"),
        ["channels/other: has no init.lua"] = changed("other/values.lua", "return {}"),
        ["channels/../x.lua: a path is made of"] = changed("../x.lua", "return {}"),
    } do
        it("are refused: " .. told, function()
            local ran, err = pcall(packages_of.of, files)
            assert.is_false(ran)
            assert.same({ "script_refused", told }, { err.code, err.message:sub(1, #told) })
        end)
    end
end)
