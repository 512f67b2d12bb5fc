-- What is read below a folder: what is there and cannot be read is never as good as absent.
local folder = require "tael.folder"

describe("the source files of a folder", function()
    local root

    local function run(...)
        assert(os.execute(string.format(...)))
    end

    before_each(function()
        root = os.tmpname()
        os.remove(root)
        run("mkdir -p %s/lib", root)
        run("printf 'return 1' > %s/rules.lua && printf 'return 2' > %s/lib/prices.lua", root, root)
    end)

    after_each(function()
        run("rm -rf %s", root)
    end)

    it("are its texts by path", function()
        run("printf x > %s/README.md && printf x > %s/notes && printf x > %s/Upper.lua", root, root, root)
        run("ln -s /nowhere %s/elsewhere && ln -s rules.lua %s/other", root, root)
        assert.same({ ["rules.lua"] = "return 1", ["lib/prices.lua"] = "return 2" }, folder.read(root).files)
    end)

    it("lie in folders, whatever these are called", function()
        run("mkdir -p '%s/shop.tset' '%s/a b' %s/.hidden && ln -s lib %s/linked", root, root, root, root)
        local names = folder.folders(root)
        table.sort(names)
        assert.same({ "a b", "lib", "linked", "shop.tset" }, names)
        local found, err = folder.folders(root .. "/nothing")
        assert.is_nil(found)
        assert.equal("not_found", err.code)
        assert.same({}, folder.folders(root .. "/lib"))
        assert.equal("not_found", select(2, folder.folders(root .. "/rules.lua")).code)
    end)

    it("have a route's names only where they are asked for", function()
        for _, name in ipairs { "with-dash", "2nd", "_x", "-not", "Not" } do
            run("printf x > %s/%s.lua", root, name)
        end
        assert.same({ ["rules.lua"] = "return 1", ["lib/prices.lua"] = "return 2" }, folder.read(root).files)
        local found = folder.read(root, true).files
        assert.same({ "x", "x", "x" }, { found["with-dash.lua"], found["2nd.lua"], found["_x.lua"] })
        assert.same({ nil, nil }, { found["-not.lua"], found["Not.lua"] })
    end)

    it("tell which of many folders differ", function()
        local all = {}
        for _, name in ipairs { "same", "changed", "more", "linked", "lost", "file" } do
            run("mkdir -p %s/%s/lib && printf x > %s/%s/rules.lua", root, name, root, name)
            all[name] = folder.read(root .. "/" .. name).stamps
        end
        all.never, all.empty, all[1], all.odd, all[("x"):rep(300)] = all.same, "", "", 1, all.same
        for i = 1, #all.same - 1, 7 do
            all["cut" .. i] = all.same:sub(1, i)
        end
        run("mkdir %s/cut1", root)
        local same = all.same
        run("printf y > %s/changed/rules.lua && printf x > %s/more/lib/new.lua", root, root)
        run("mv %s/linked %s/kept && ln -s kept %s/linked && rm -r %s/lost", root, root, root, root)
        run("rm -r %s/file && printf x > %s/file", root, root)
        local names, cut = {}, 0
        for name in pairs(folder.differing(root, all)) do
            local is_cut = tostring(name):find("^cut")
            cut = cut + (is_cut and 1 or 0)
            names[#names + 1] = not is_cut and tostring(name) or nil
        end
        table.sort(names)
        assert.same({ "1", "changed", "file", "linked", "lost", "more", "never", "odd",
            ("x"):rep(300) }, names)
        assert.equal((#same - 2) // 7 + 1, cut)
        assert.same({ same = same }, folder.differing(root .. "/gone", { same = same }))
        assert.same({}, folder.differing(root, {}))
    end)

    it("tell whether they differ, and whether there is such a folder", function()
        local stamps = folder.read(root).stamps
        assert.same({ false, false }, { folder.changed(root, stamps), folder.changed(root, "") })
        run("printf 'return 3' > %s/lib/prices.lua", root)
        assert.is_true(folder.changed(root, stamps))
        assert.is_true(folder.changed(root .. "/gone", ""))
        assert.is_true(folder.changed(root, stamps:sub(1, -2)))
    end)

    it("are none where there is no folder", function()
        local found, err = folder.read(root .. "/nothing")
        assert.is_nil(found)
        assert.equal("not_found", err.code)
    end)

    for what, made in pairs {
        ["rules.lua: is a link, and none is followed"] = "mv %s/rules.lua %s/kept && ln -s kept %s/rules.lua",
        ["lost.lua: is a link, and none is followed"] = "ln -s /nowhere %s/lost.lua",
        ["inner: is a link, and none is followed"] = "ln -s lib %s/inner",
        ["dir.lua: Is a directory"] = "mkdir %s/dir.lua",
        ["fifo.lua: No such device"] = "mkfifo %s/fifo.lua",
    } do
        it("are refused: " .. what, function()
            run((made:gsub("%%s", root)))
            local found, err = folder.read(root)
            assert.is_nil(found)
            assert.same({ "unavailable", what }, { err.code, err.message })
        end)
    end
end)
