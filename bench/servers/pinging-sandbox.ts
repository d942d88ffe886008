import { answer } from './answers.ts';
import { momentsOf } from './moments.ts';
import './sandbox.ts';

const notification = /^\/webhooks\//;
const sent = momentsOf('client:sendHeaders', notification);
const answered = momentsOf('request:headers', notification);

/** The bundled sandbox, which also tells when its notifications left and when they were answered. */
answer({ pings: () => ({ sent: sent(), answered: answered() }) });
