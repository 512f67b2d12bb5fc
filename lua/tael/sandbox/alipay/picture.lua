--- A code as a picture: SVG of the modules that tael.qr makes of a text.
local picture = {}

local QUIET = 4 -- light modules on every side

--- One path for all dark modules: a run of them in a row is one bar.
local function path_of(rows)
    local parts = {}
    for y, row in ipairs(rows) do
        for start, run in row:gmatch("()(1+)") do
            parts[#parts + 1] = ("M%d %dh%dv1h-%dz"):format(start - 1 + QUIET, y - 1 + QUIET, #run, #run)
        end
    end
    return table.concat(parts)
end

---@param rows string[] of "0" and "1"
---@return string svg
function picture.svg(rows)
    local side = #rows + 2 * QUIET
    return table.concat {
        ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" ')
            :format(side, side, 8 * side, 8 * side),
        'shape-rendering="crispEdges"><rect width="100%" height="100%" fill="#fff"/><path d="', path_of(rows),
        '" fill="#000"/></svg>',
    }
end

---@param text string
---@return table response
function picture.response(text)
    local rows = require("tael.qr").encode(text)
    if not rows then
        return { status = 404, headers = { ["content-type"] = "text/plain" }, body = "too long for a code" }
    end
    return {
        status = 200, body = picture.svg(rows),
        headers = {
            ["content-type"] = "image/svg+xml", ["cache-control"] = "no-store",
            ["content-security-policy"] = "default-src 'none'", ["x-content-type-options"] = "nosniff",
        },
    }
end

return picture
