// wire.mjs - between engine and channel: can be cut, so that certainly no byte leaves.
import net from 'node:net';

export class Wire {
    constructor(port, target) {
        Object.assign(this, { port, target, sockets: new Set() });
    }

    async open() {
        this.server = net.createServer((socket) => {
            const upstream = net.connect(this.target, '127.0.0.1');
            for (const [from, to] of [[socket, upstream], [upstream, socket]]) {
                this.sockets.add(from);
                from.pipe(to);
                from.on('error', () => to.destroy());
                from.on('close', () => { this.sockets.delete(from); to.destroy(); });
            }
        });
        await new Promise((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    }

    async cut() {
        const closed = new Promise((resolve) => this.server.close(resolve));
        for (const socket of this.sockets) socket.destroy();
        await closed;
    }
}
