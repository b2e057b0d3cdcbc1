// SPDX-License-Identifier: Apache-2.0
// A phone of JsSIP without a browser: `phone.js WEBSOCKET-URI SIP-URI RTP-IP:PORT`. It registers, answers by itself, takes `call URI` and `bye` on its input and tells
// a line of JSON for each event. Its SIP is JsSIP's alone; what a browser would give it (WebSocket, a peer connection) is stood in for: plain RTP that nobody sends.
'use strict';
const JsSIP = require('jssip');
const [, , wsUri, sipUri, rtp] = process.argv;
const [ip, port] = rtp.split(':');

class PeerConnection {
  constructor() { this.version = 0; this.iceGatheringState = 'complete'; this.iceConnectionState = 'connected'; this.signalingState = 'stable'; }
  addEventListener() {}
  removeEventListener() {}
  getSenders() { return []; }
  addTrack() {}
  close() {}
  describe(type) {
    const sdp = ['v=0', `o=js 1 ${++this.version} IN IP4 ${ip}`, 's=-', `c=IN IP4 ${ip}`, 't=0 0', `m=audio ${port} RTP/AVP 0 8`, 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:8 PCMA/8000', 'a=sendrecv', ''];
    return Promise.resolve({ type, sdp: sdp.join('\r\n') });
  }
  createOffer() { return this.describe('offer'); }
  createAnswer() { return this.describe('answer'); }
  setLocalDescription(d) { this.localDescription = d; return Promise.resolve(); }
  setRemoteDescription(d) { this.remoteDescription = d; return Promise.resolve(); }
}

global.window = global;
global.RTCPeerConnection = PeerConnection;
global.RTCSessionDescription = class { constructor(d) { Object.assign(this, d); } };
global.WebSocket = require('ws');

const tell = (event, more) => console.log(JSON.stringify({ event, ...more }));
const stream = { getTracks: () => [], getAudioTracks: () => [], getVideoTracks: () => [] };
let session;
const ua = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(wsUri)], uri: sipUri, register: true, register_expires: 3600, session_timers: true });
ua.on('registered', () => tell('registered'));
ua.on('registrationFailed', e => tell('registrationFailed', { cause: e.cause }));
ua.on('newRTCSession', e => {
  session = e.session;
  for (const name of ['accepted', 'confirmed', 'update', 'reinvite', 'ended', 'failed']) session.on(name, x => tell(name, { cause: x && x.cause }));
  if (e.originator === 'remote') session.answer({ mediaStream: stream });
});
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const [what, uri] = line.split(' ');
  if (what === 'call') ua.call(uri, { mediaStream: stream });
  if (what === 'bye') session.terminate();
}).on('close', () => process.exit(0));
ua.start();
