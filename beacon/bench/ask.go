package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// asker keeps an answerer busy: twice a batch under way, until enough were answered.
type asker struct {
	batch    ipv4Batch
	conn     *net.UDPConn
	to       net.Addr
	next     uint64 // number of the next request
	underway int
	answered int

	samples    map[uint64][]byte // one answer of each signed batch
	signatures map[uint64][]byte
}

// askMany sends requests until Count were answered. Of a signed answerer one answer of each batch is verified afterwards.
func askMany(ctx context.Context, q request) (int, error) {
	if q.Count < 1 || q.Batch < 1 || q.Batch > maxBatch {
		return 0, fmt.Errorf("%w: %d requests in batches of %d", ErrPeer, q.Count, q.Batch)
	}
	to, err := net.ResolveUDPAddr("udp4", q.Addresses[0])
	if err != nil {
		return 0, err
	}
	conn, err := loopback()
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.SetReadBuffer(4<<20), conn.SetWriteBuffer(4<<20)
	a := &asker{batch: newBatch(conn, maxBatch, 4096), conn: conn, to: to, samples: map[uint64][]byte{}, signatures: map[uint64][]byte{}}
	for a.answered < q.Count {
		if ctx.Err() != nil {
			return a.answered, ctx.Err()
		}
		if err := a.turn(q.Batch); err != nil {
			return a.answered, err
		}
	}
	if !q.Signed {
		return a.answered, nil
	}
	return a.answered, a.verify(q.Beacon)
}

// turn asks a batch when there is room for it, and reads what is there.
func (a *asker) turn(batch int) error {
	if a.underway <= batch {
		for range batch {
			b := make([]byte, echoSize)
			binary.BigEndian.PutUint64(b, a.next)
			a.next++
			a.batch.put(a.to, b)
		}
		if err := a.batch.flush(); err != nil {
			return err
		}
		a.underway += batch
	}
	_ = a.conn.SetReadDeadline(time.Now().Add(lostAfter))
	n, err := a.batch.ReadBatch(a.batch.in, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.underway = 0 // lost somewhere: ask anew
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range a.batch.in[:n] {
		a.take(m.Buffers[0][:m.N])
	}
	return nil
}

func (a *asker) take(b []byte) {
	if len(b) < answerHead {
		return
	}
	switch batch := binary.BigEndian.Uint64(b[1:]); b[0] {
	case kindSignature:
		a.signatures[batch] = slices.Clone(b[9:])
		return
	case kindAnswer:
		if a.samples[batch] == nil {
			a.samples[batch] = slices.Clone(b)
		}
	}
	a.answered++
	a.underway = max(0, a.underway-1)
}

// verify opens one answer of each batch whose signature came. Some must have.
func (a *asker) verify(beacon []byte) error {
	public, err := identity.ParsePublic(beacon)
	if err != nil {
		return err
	}
	verified := 0
	for batch, signature := range a.signatures {
		answer := a.samples[batch]
		if answer == nil {
			continue // a batch that is still under way
		}
		_, e, err := parseAnswer(answer, public.ID())
		if err != nil {
			return err
		}
		e.Signature = signature
		if _, err := e.Open(public, typeAnswer); err != nil {
			return fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		verified++
	}
	if verified == 0 {
		return fmt.Errorf("%w: no batch came whole", ErrAnswer)
	}
	return nil
}
