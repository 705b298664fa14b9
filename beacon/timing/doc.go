// Package timing carries round packets and stamps them: the paths of the timed phase, and the host's clocks.
//
// What it believes. QUIC carries everything that is not timed. A QUIC DATAGRAM frame cannot be tied to a kernel stamp and waits for
// pacing and acknowledgements; a transport's own round-trip estimate can be forged by acknowledging early or by claiming delay. So
// rounds travel as small packets of their own on the same UDP port and 5-tuple, recognised by their first byte, and what QUIC
// believes about the path is never looked at. DATAGRAM frames remain as the fallback where such packets do not pass.
//
// What it promises. All paths stand behind the same two interfaces (Port for a socket, Path for a session on it) and pass one
// conformance test: a departure is a look at the clocks before the write, an arrival is a kernel stamp of that very packet or a
// look after the read (package stamp makes anything else impossible); packets of unknown sessions, from another address than
// the session's peer, or of the wrong size reach no handler; a handler is called on the reading goroutine, so that an answer
// leaves without a hand-over.
//
//	path       | packets read by                        | receive stamp | where
//	transport  | quic.Transport.ReadNonQUICPacket       | user          | any net.PacketConn
//	wrapped    | a wrapper's ReadBatch (or ReadFrom)    | kernel        | Linux UDP sockets (user stamps elsewhere)
//	steered    | a socket of their own, SO_REUSEPORT    | kernel        | Linux, where classic BPF may be attached
//	datagram   | QUIC DATAGRAM frames                   | user          | where only QUIC passes
//
// What an attacker may do. He may send anything to the port, from any address, at any rate; he may delay, drop, repeat and
// reorder. A packet that matches no session costs a map look-up and is counted. He cannot make a path send more than one packet
// for one received.
package timing
