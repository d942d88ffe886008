import { startOurs } from './our-app.ts';
import { serve } from './serve.ts';

/** Ours with nothing replaced. */
serve((setup) => startOurs(setup));
