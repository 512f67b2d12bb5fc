-- The nginx peer: LuaJIT in nginx's worker.
-- luacheck: globals ngx
local cjson = require "cjson.safe"
local rule = require "rule"
local signing = require "signing"
local orders = os.getenv("STORE") == "sqlite" and require "orders"

local APP_ID, SELLER_ID, GATEWAY = os.getenv("APP_ID"), os.getenv("SELLER_ID"), os.getenv("GATEWAY")
local NOTIFY_URL, RETURN_URL = os.getenv("NOTIFY_URL"), os.getenv("RETURN_URL")

local M = {}

local function body()
    ngx.req.read_body()
    return ngx.req.get_body_data() or ""
end

local function answer(status, text)
    ngx.status = status
    ngx.header.content_length = #text
    ngx.print(text)
end

function M.route()
    local request = cjson.decode(body())
    if not request then
        return answer(400, '{"error":"json"}')
    end
    answer(200, cjson.encode(rule(request)))
end

local function is_valid(order)
    return order and type(order.merchant_order_id) == "string" and #order.merchant_order_id <= 64
        and order.merchant_order_id:find("^[%w_-]+$") and type(order.amount) == "number"
        and order.amount % 1 == 0 and order.amount >= 1 and order.amount <= 1e10
        and order.currency == "CNY" and order.channel == "alipay" and order.product == "page"
        and type(order.subject) == "string" and #order.subject > 0 and #order.subject <= 1024
end

local function page_url(order)
    local biz = cjson.encode { out_trade_no = order.merchant_order_id, subject = order.subject,
        total_amount = string.format("%d.%02d", math.floor(order.amount / 100), order.amount % 100),
        product_code = "FAST_INSTANT_TRADE_PAY" }
    local parameters = { "app_id", APP_ID, "biz_content", biz, "charset", "utf-8", "format", "JSON",
        "method", "alipay.trade.page.pay", "notify_url", NOTIFY_URL, "return_url", RETURN_URL,
        "sign_type", "RSA2", "timestamp", ngx.localtime(), "version", "1.0" }
    local signed, sent = {}, {}
    for i = 1, #parameters, 2 do
        signed[#signed + 1] = parameters[i] .. "=" .. parameters[i + 1]
        sent[#sent + 1] = parameters[i] .. "=" .. ngx.escape_uri(parameters[i + 1])
    end
    local signature = signing.sign(table.concat(signed, "&"))
    return GATEWAY .. "?" .. table.concat(sent, "&") .. "&sign=" .. ngx.escape_uri(signature)
end

function M.create()
    local order = cjson.decode(body())
    if not is_valid(order) then
        return answer(400, '{"error":"invalid"}')
    end
    local id = orders.create(order)
    if not id then
        return answer(409, '{"error":"duplicate_order"}')
    end
    answer(201, cjson.encode { id = id, merchant_order_id = order.merchant_order_id, state = "pending",
        next_action = { url = page_url(order) } })
end

local function signed_text(form)
    local names = {}
    for name, value in pairs(form) do
        if name ~= "sign" and name ~= "sign_type" and value ~= "" then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    for i = 1, #names do
        names[i] = names[i] .. "=" .. form[names[i]]
    end
    return table.concat(names, "&")
end

function M.notify()
    ngx.req.read_body()
    local form = ngx.req.get_post_args(100)
    if not signing.verify(signed_text(form), form.sign) or form.app_id ~= APP_ID
        or form.seller_id ~= SELLER_ID then
        return answer(200, "fail")
    end
    local amount = math.floor(tonumber(form.total_amount) * 100 + 0.5)
    answer(200, orders.pay(form.out_trade_no, form.trade_no, amount) and "success" or "fail")
end

return M
