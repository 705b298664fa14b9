package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/ipv4"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// A signed answer in the manner of Roughtime, but with the hybrid signature: whatever requests wait together (at most a batch) become the
// leaves of one tree, each is answered with its path at once, and the root's signature, 3.4 kB, goes once to each asker.
//
//	request    number[8] zero[56]
//	echo       request, whose number is below 2^56
//	answer     0x01 batch[8] index[4] size[4] hashes[32 each] request            at most 81 + 8·32 bytes
//	signature  0x02 batch[8] signature[3373]

const (
	kindAnswer, kindSignature = 1, 2
	answerHead                = 17
	// maxBatch is the most that is answered at once.
	maxBatch = 256
)

// typeAnswer is the context of these signatures: nothing else in the system accepts them.
const typeAnswer identity.ObjectType = "bench-answer"

// answerer answers requests on a socket, in batches.
type answerer struct {
	conn    *net.UDPConn
	batch   ipv4Batch
	key     *identity.Private // nil: echo
	signed  uint64            // batches; the batch's number in its answers
	answers atomic.Uint64
	batches atomic.Uint64
	failed  atomic.Pointer[error]
	done    sync.WaitGroup

	payloads [][]byte
	arena    []byte
}

// ipv4Batch reads and writes many datagrams with one system call.
type ipv4Batch struct {
	*ipv4.PacketConn
	in, out []ipv4.Message
}

func newBatch(conn *net.UDPConn, n, size int) ipv4Batch {
	b := ipv4Batch{PacketConn: ipv4.NewPacketConn(conn), in: make([]ipv4.Message, n)}
	for i := range b.in {
		b.in[i].Buffers = [][]byte{make([]byte, size)}
	}
	return b
}

// put queues a datagram, which must stay as it is until flush.
func (b *ipv4Batch) put(to net.Addr, payload []byte) {
	i := len(b.out)
	if i == cap(b.out) {
		b.out = append(b.out, ipv4.Message{})
	}
	b.out = b.out[:i+1]
	if b.out[i].Buffers == nil {
		b.out[i].Buffers = make([][]byte, 1)
	}
	b.out[i].Buffers[0], b.out[i].Addr = payload, to
}

// flush writes everything in out.
func (b *ipv4Batch) flush() error {
	for sent := 0; sent < len(b.out); {
		n, err := b.WriteBatch(b.out[sent:], 0)
		if err != nil {
			return err
		}
		sent += n
	}
	b.out = b.out[:0]
	return nil
}

// newAnswerer starts answering at most size requests under one signature; without a key it only echoes them.
func newAnswerer(key *identity.Private, size int) (*answerer, error) {
	conn, err := loopback()
	if err != nil {
		return nil, err
	}
	_, _ = conn.SetReadBuffer(4<<20), conn.SetWriteBuffer(4<<20)
	a := &answerer{conn: conn, batch: newBatch(conn, size, 2*echoSize), key: key}
	a.done.Go(a.run)
	return a, nil
}

func (a *answerer) close() {
	_ = a.conn.Close()
	a.done.Wait()
}

func (a *answerer) run() {
	for {
		n, err := a.batch.ReadBatch(a.batch.in, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			err = a.answer(a.batch.in[:n])
		}
		if err != nil {
			a.failed.CompareAndSwap(nil, &err)
		}
	}
}

// answer serves one batch.
func (a *answerer) answer(in []ipv4.Message) error {
	if a.key == nil {
		for i := range in {
			a.batch.put(in[i].Addr, in[i].Buffers[0][:in[i].N])
		}
	} else if err := a.sign(in); err != nil {
		return err
	}
	a.answers.Add(uint64(len(in)))
	a.batches.Add(1)
	return a.batch.flush()
}

// sign answers a batch. Everything that leaves lies in one arena, which is used again.
func (a *answerer) sign(in []ipv4.Message) error {
	a.payloads, a.arena = a.payloads[:0], a.arena[:0]
	for i := range in {
		a.payloads = append(a.payloads, in[i].Buffers[0][:in[i].N])
	}
	envelopes, err := identity.SealBatch(a.key, typeAnswer, a.payloads)
	if err != nil {
		return err
	}
	a.signed++
	var told *net.UDPAddr
	for i, e := range envelopes {
		a.put(in[i].Addr, appendAnswer(a.arena, a.signed, e))
		if to, ok := in[i].Addr.(*net.UDPAddr); ok && (told == nil || told.Port != to.Port || !told.IP.Equal(to.IP)) {
			told = to
			head := binary.BigEndian.AppendUint64(append(a.arena, kindSignature), a.signed)
			a.put(to, append(head, e.Signature...))
		}
	}
	return nil
}

// put queues what was appended to the arena.
func (a *answerer) put(to net.Addr, longer []byte) {
	a.batch.put(to, longer[len(a.arena):len(longer):len(longer)])
	a.arena = longer
}

func appendAnswer(b []byte, batch uint64, e identity.Envelope) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kindAnswer), batch)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Path.Index))
	b = binary.BigEndian.AppendUint32(b, uint32(e.Path.Size))
	for i := range e.Path.Hashes {
		b = append(b, e.Path.Hashes[i][:]...)
	}
	return append(b, e.Payload...)
}

// ErrAnswer refuses an answer that is not what was asked for.
var ErrAnswer = errors.New("signed answer does not verify")

// parseAnswer reads an answer into an envelope that still lacks its signature.
func parseAnswer(b []byte, signer identity.ID) (batch uint64, e identity.Envelope, err error) {
	hashes := len(b) - answerHead - echoSize
	if len(b) < answerHead+echoSize || b[0] != kindAnswer || hashes%32 != 0 {
		return 0, e, fmt.Errorf("%w: %d bytes", ErrAnswer, len(b))
	}
	path := &identity.Path{Index: uint64(binary.BigEndian.Uint32(b[9:])), Size: uint64(binary.BigEndian.Uint32(b[13:])), Hashes: [][32]byte{}}
	for at := answerHead; at < answerHead+hashes; at += 32 {
		path.Hashes = append(path.Hashes, [32]byte(b[at:at+32]))
	}
	e = identity.Envelope{Type: typeAnswer, Signer: signer, Payload: b[answerHead+hashes:], Path: path}
	return binary.BigEndian.Uint64(b[1:]), e, nil
}
