// idle.mjs - what a keep-alive connection without a request costs the server: `count` of them, one answered request each.
import { once } from 'node:events';
import net from 'node:net';

const AT_ONCE = 100, WARM_UP = 200;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function connect(port) {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const [answer] = await once(socket, 'data');
    if (!/^HTTP\/1.1 200/.test(answer.toString('latin1'))) throw new Error(`an idle connection got ${answer}`);
    return socket;
}

async function connectAll(port, count) {
    const sockets = [];
    while (sockets.length < count) {
        const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => connect(port));
        sockets.push(...await Promise.all(some));
    }
    return sockets;
}

/** KiB for each connection. */
export async function idleConnections(server, count) {
    for (const socket of await connectAll(server.port, WARM_UP)) socket.destroy();
    await sleep(200);
    const before = server.memory().pss;
    const sockets = await connectAll(server.port, count);
    const after = server.memory().pss;
    for (const socket of sockets) socket.destroy();
    return { connections: count, each_kib: (after - before) / count };
}
