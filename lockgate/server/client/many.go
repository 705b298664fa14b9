package client

import (
	"context"
	"errors"
	"sync"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Many talks to several gates that serve one store with one key: to the one that
// answered last, and when that one does not answer, to the next. What a gate
// refuses is refused; only what is not known is asked elsewhere, with the same
// ids, so that a lease that one gate granted and could not deliver comes from
// another as the identical bytes.
type Many struct {
	gates []*Client

	mu sync.Mutex // guards at
	at int        // the one that answered last
}

var (
	_ core.Gate       = (*Many)(nil)
	_ core.StepKeeper = (*Many)(nil)
	_ core.Burner     = (*Many)(nil)
)

// NewMany joins gates; there must be at least one.
func NewMany(gates ...*Client) (*Many, error) {
	if len(gates) == 0 {
		return nil, ErrConfig
	}
	return &Many{gates: gates}, nil
}

// each asks one gate after the other until one gives an answer.
func (m *Many) each(ctx context.Context, ask func(*Client) error) error {
	m.mu.Lock()
	first := m.at
	m.mu.Unlock()
	var failed []error
	for i := range m.gates {
		n := (first + i) % len(m.gates)
		err := ask(m.gates[n])
		var no *core.Denied
		if err == nil || errors.As(err, &no) {
			m.mu.Lock()
			m.at = n
			m.mu.Unlock()
			return err
		}
		if failed = append(failed, err); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// Challenge asks for a challenge; see core.Gate.
func (m *Many) Challenge(ctx context.Context, q core.Question) (out []byte, err error) {
	err = m.each(ctx, func(c *Client) (err error) { out, err = c.Challenge(ctx, q); return err })
	return out, err
}

// Lease asks for a lease; see core.Gate.
func (m *Many) Lease(ctx context.Context, r core.Request) (out []byte, err error) {
	err = m.each(ctx, func(c *Client) (err error) { out, err = c.Lease(ctx, r); return err })
	return out, err
}

// StepKey asks for the key of a later step; see core.StepKeeper.
func (m *Many) StepKey(ctx context.Context, q core.StepQuestion) (out lock.Key, err error) {
	err = m.each(ctx, func(c *Client) (err error) { out, err = c.StepKey(ctx, q); return err })
	return out, err
}

// Burn burns units; see core.Burner.
func (m *Many) Burn(ctx context.Context, id [16]byte, units lock.Units) error {
	return m.each(ctx, func(c *Client) error { return c.Burn(ctx, id, units) })
}

// Token asks for a token; see Client.
func (m *Many) Token(ctx context.Context, request [16]byte, audience, nonce, form string) (out []byte, err error) {
	err = m.each(ctx, func(c *Client) (err error) {
		out, err = c.Token(ctx, request, audience, nonce, form)
		return err
	})
	return out, err
}
