--- HTML of the simulators: plain forms that work without scripts, everything from outside escaped, and a
--- content security policy that lets nothing else in.
local crypto = require "tael.crypto"

local html = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---@param text string
---@return string
function html.escape(text)
    return (text:gsub("[&<>\"']", entities))
end

local style = [[
body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f6fa;color:#1d2330}
main{max-width:26rem;margin:3rem auto;padding:1.5rem 2rem;background:#fff;border-radius:12px;
box-shadow:0 1px 6px #0002}
h1{font-size:1.1rem;color:#0958d9}
.amount{font-size:2.2rem;margin:.5rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;font-size:.9rem}
dt{color:#667}dd{margin:0;overflow-wrap:anywhere}
form{display:inline-block;margin:1rem .75rem 0 0}
button{font:inherit;padding:.6rem 1.6rem;border:1px solid #0958d9;border-radius:8px;background:#fff;
color:#0958d9;cursor:pointer}
button.main{background:#0958d9;color:#fff}
p.note{font-size:.8rem;color:#667}
h2{font-size:1rem;margin:1.5rem 0 .5rem}
main.wide{max-width:60rem}]]

local style_hash

--- A page of its own. A browser applies form-action to where a form's redirects lead, too; `leaves` allows
--- the way back to the shop, which the merchant chose.
---@param options { title: string, content: string, lang?: string, leaves?: boolean, status?: integer,
---   wide?: boolean }
---@return table response
function html.page(options)
    style_hash = style_hash or crypto.base64.encode(crypto.digest("sha256", style))
    local form_action = options.leaves and "'self' https: http:" or "'self'"
    return {
        status = options.status or 200,
        headers = {
            ["content-type"] = "text/html; charset=utf-8",
            ["cache-control"] = "no-store",
            ["referrer-policy"] = "no-referrer",
            ["x-content-type-options"] = "nosniff",
            ["content-security-policy"] = ("default-src 'none'; style-src 'sha256-%s'; img-src data:; "
                .. "form-action %s; base-uri 'none'; frame-ancestors 'none'"):format(style_hash, form_action),
        },
        body = table.concat {
            '<!DOCTYPE html><html lang="', options.lang or "zh-CN", '"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,"><title>', html.escape(options.title), "</title><style>", style,
            "</style></head><body><main", options.wide and ' class="wide">' or ">", options.content,
            "</main></body></html>",
        },
    }
end

return html
