// Draws avatars: node dicebear.mjs '{"adventurer": {"count": 900, "options": {...}}, ...}'
// One JSON object a line on standard output: {style, index, traits, svg}.
// Lies in the folder where @dicebear/core and @dicebear/collection are installed.
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createAvatar } from '@dicebear/core';
import * as collection from '@dicebear/collection';

const plan = JSON.parse(process.argv[2]);
for (const [style, { count, options }] of Object.entries(plan)) {
  for (let index = 0; index < count; index++) {
    const seed = createHash('sha1').update(`${style}-${index}`).digest('hex');
    const avatar = createAvatar(collection[style], { seed, ...options }).toJson();
    writeSync(1, JSON.stringify({ style, index, traits: avatar.extra, svg: avatar.svg }) + '\n');
  }
}
