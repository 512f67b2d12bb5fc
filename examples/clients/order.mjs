// order.mjs - a merchant's program: creates a payment, says where the payer pays, and waits until it is settled.
//   node examples/clients/order.mjs ORDER [AMOUNT [SUBJECT]]     amount in minor units: 1234 is 12.34
// TAEL_URL and TAEL_KEY name the engine and the API key; the demo key of `make run` when they are not set.
// Run it again with the same ORDER: it finds the same payment, so nobody is charged twice.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [order, amount = '1234', subject = 'coffee'] = process.argv.slice(2);
if (!order) {
    console.error('usage: node order.mjs ORDER [AMOUNT [SUBJECT]]');
    process.exit(2);
}
if (!/^[1-9]\d{0,14}$/.test(amount)) { // as a Number 20.00 would be 20 minor units
    console.error(`AMOUNT is an integer of minor units, such as 1234 for 12.34, not '${amount}'`);
    process.exit(2);
}
const url = process.env.TAEL_URL ?? 'http://127.0.0.1:8080';
const key = process.env.TAEL_KEY ?? readFileSync('data/demo.key', 'utf8').trim();

/** The API's answer; a problem is thrown with its code and what to do. */
async function call(method, path, body) {
    const response = await fetch(url + path, {
        method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body), signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    let answer = {}; // a proxy answers in words of its own
    try { answer = JSON.parse(text); } catch { if (response.ok) throw new Error(`${url} is no Tael: its answer is no JSON`); }
    if (!response.ok) {
        throw Object.assign(new Error(answer.code ? `${answer.code}: ${answer.detail}` : `HTTP ${response.status}`),
            { retriable: response.status >= 500 }, answer);
    }
    return answer;
}

const LOST = ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'UND_ERR_SOCKET',
    'UND_ERR_CONNECT_TIMEOUT'];

/** The same request again while there is no answer, or one that says so: nothing is done twice. */
async function callUntilAnswered(...request) {
    for (let pause = 250; ; pause = Math.min(pause * 2, 8000)) {
        try {
            return await call(...request);
        } catch (error) {
            const again = error.retriable || error.name === 'TimeoutError' || LOST.includes(error.cause?.code);
            if (!again) throw error;
            console.error(`no answer (${error.cause?.code ?? error.message}), again in ${pause} ms`);
            await sleep(pause);
        }
    }
}

async function main() {
    let payment = await callUntilAnswered('POST', '/v1/payments', {
        merchant_order_id: order, amount: Number(amount), currency: 'CNY', subject,
        channel: 'alipay', product: 'page',
    });
    if (payment.next_action) console.log(`pay at ${payment.next_action.url}`);
    while (payment.state === 'created' || payment.state === 'pending') {
        await sleep(1000);
        payment = await callUntilAnswered('GET', `/v1/payments/${payment.id}`);
    }
    console.log(`${payment.id} ${payment.state}`); // ship only when this says paid
    return payment.state === 'paid';
}

main().then((paid) => { process.exitCode = paid ? 0 : 1; }, (error) => {
    console.error(error.errors?.[0] ? `${error.errors[0].pointer}: ${error.errors[0].detail}` : error.message);
    process.exitCode = 1;
});
