package server

import (
	"context"
	"errors"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// batcher signs objects of one type that are due at about the same time with one signature over the root of their Merkle tree (the
// Roughtime idea, draft-ietf-ntp-roughtime §5). The timing of a statement is over when it comes here, so the wait costs no
// radius; the signature, 0.1 to 0.4 ms of CPU, is shared.
type batcher struct {
	key    *identity.Private
	kind   identity.ObjectType
	linger time.Duration
	most   int
	in     chan unsigned
}

type unsigned struct {
	payload []byte
	out     chan signed // has room for one
}

type signed struct {
	envelope identity.Envelope
	err      error
}

// errBatcherClosed says that a statement came when the server was already down.
var errBatcherClosed = errors.New("signer is closed")

func newBatcher(key *identity.Private, kind identity.ObjectType, linger time.Duration, most int) *batcher {
	return &batcher{key: key, kind: kind, linger: linger, most: most, in: make(chan unsigned)}
}

// seal waits for the batch and returns the payload's envelope.
func (b *batcher) seal(ctx context.Context, payload []byte) (identity.Envelope, error) {
	u := unsigned{payload: payload, out: make(chan signed, 1)}
	select {
	case b.in <- u:
	case <-ctx.Done():
		return identity.Envelope{}, errBatcherClosed
	}
	s := <-u.out
	return s.envelope, s.err
}

// run signs until ctx ends.
func (b *batcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-b.in:
			b.sign(b.collect(ctx, first))
		}
	}
}

// collect gathers what comes within the linger time.
func (b *batcher) collect(ctx context.Context, first unsigned) []unsigned {
	batch := []unsigned{first}
	timer := time.NewTimer(b.linger)
	defer timer.Stop()
	for len(batch) < b.most {
		select {
		case u := <-b.in:
			batch = append(batch, u)
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (b *batcher) sign(batch []unsigned) {
	if len(batch) == 1 {
		envelope, err := identity.Seal(b.key, b.kind, batch[0].payload)
		batch[0].out <- signed{envelope, err}
		return
	}
	payloads := make([][]byte, len(batch))
	for i, u := range batch {
		payloads[i] = u.payload
	}
	envelopes, err := identity.SealBatch(b.key, b.kind, payloads)
	for i, u := range batch {
		s := signed{err: err}
		if err == nil {
			s.envelope = envelopes[i]
		}
		u.out <- s
	}
}
