--- The page that a payer sees when a page request is wrong. Alipay sends it in GBK whatever the request's
--- charset is, with status 200; the merchant's server never hears of it. The fixed texts are GBK bytes, what
--- varies is written as numbers of characters, which every charset can carry.
local error_page = {}

-- "支付宝", "调试错误，请回到请求来源地，重新发起请求。", "错误代码", "错误原因:"
local title = "\xD6\xA7\xB8\xB6\xB1\xA6"
local heading = "\xB5\xF7\xCA\xD4\xB4\xED\xCE\xF3\xA3\xAC\xC7\xEB\xBB\xD8\xB5\xBD\xC7\xEB\xC7\xF3\xC0"
    .. "\xB4\xD4\xB4\xB5\xD8\xA3\xAC\xD6\xD8\xD0\xC2\xB7\xA2\xC6\xF0\xC7\xEB\xC7\xF3\xA1\xA3"
local code_label = "\xB4\xED\xCE\xF3\xB4\xFA\xC2\xEB"
local reason_label = "\xB4\xED\xCE\xF3\xD4\xAD\xD2\xF2:"

local function references(text)
    local out = {}
    for _, code in utf8.codes(text) do
        local plain = code >= 0x20 and code < 0x7F and not utf8.char(code):find("[&<>\"']")
        out[#out + 1] = plain and utf8.char(code) or ("&#%d;"):format(code)
    end
    return table.concat(out)
end

---@param code string "isv.invalid-signature"
---@param reason string UTF-8
---@return table response
function error_page.response(code, reason)
    return {
        status = 200,
        headers = {
            ["content-type"] = "text/html;charset=GBK",
            ["content-security-policy"] = "default-src 'none'",
            ["cache-control"] = "no-store",
        },
        body = table.concat {
            '<!DOCTYPE html><html><head><meta charset="GBK"><title>', title, "</title></head><body><h1>",
            heading, "</h1><p>", code_label, " ", references((code:gsub("^isv%.", ""))), "</p><p>",
            reason_label, " ", references(reason), "</p></body></html>",
        },
    }
end

return error_page
