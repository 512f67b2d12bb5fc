// rule.mjs - rule.lua once more: what the answers of the route work are compared with, and the rule of the Node peer.
const BASIS_POINTS = { intercard: 290, unionpay: 45, 'alipay.wap': 60, 'alipay.page': 55, 'wechat.native': 60 };

function choose(order, payer, amount) {
    if (order.currency !== 'CNY') return 'intercard';
    if (payer.device === 'mobile') return amount >= 100000 ? 'unionpay' : 'alipay.wap';
    return order.hour < 7 ? 'wechat.native' : 'alipay.page';
}

export function rule({ merchant, order, payer, items, limits }) {
    let amount = 0, pieces = 0;
    for (const item of items) {
        amount += item.price * item.quantity;
        pieces += item.quantity;
    }
    const way = choose(order, payer, amount);
    const fee = Math.floor(amount * BASIS_POINTS[way] * (payer.member ? 9 : 10) / 100000);
    const decision = payer.risk > 80 || limits.used + amount > limits.daily ? 'review' : 'accept';
    return { summary: `${merchant}:${way}:${amount}:${fee}:${decision}`, way, fee, pieces };
}
