package identity

import (
	"sync"
)

// RootCache remembers batch roots whose signature verified, so that whoever opens many envelopes of one batch pays for the
// signature once. What is remembered is signer, type, size, root and the very signature: an envelope with the same root and
// another signature is verified anew. It holds a fixed number of roots and forgets the oldest first. Safe for concurrent use; a
// nil *RootCache remembers nothing.
type RootCache struct {
	mu     sync.Mutex
	seen   map[[32]byte]struct{}
	order  [][32]byte // ring of the keys of seen
	next   int        // of order, where the next key goes
	hits   uint64
	misses uint64
}

// DefaultRootCacheSize is the capacity that NewRootCache takes for a number below one: about 300 KB.
const DefaultRootCacheSize = 4096

// NewRootCache returns a cache for the given number of roots.
func NewRootCache(capacity int) *RootCache {
	if capacity < 1 {
		capacity = DefaultRootCacheSize
	}
	return &RootCache{seen: make(map[[32]byte]struct{}), order: make([][32]byte, capacity)}
}

// Open is Envelope.Open, except that the signature of a known root is not verified again.
func (c *RootCache) Open(e Envelope, pub Public, t ObjectType) ([]byte, error) {
	if err := e.check(pub, t); err != nil {
		return nil, err
	}
	if e.Path == nil {
		if err := pub.verify(string(t), e.Payload, e.Signature); err != nil {
			return nil, err
		}
		return e.Payload, nil
	}
	root, err := e.Path.root(e.Payload)
	if err != nil {
		return nil, err
	}
	signed := batchRoot(e.Path.Size, root)
	key := Hash("batch root", e.Signer[:], []byte(t), signed, e.Signature)
	if c.known(key) {
		return e.Payload, nil
	}
	if err := pub.verify(string(t)+batchSuffix, signed, e.Signature); err != nil {
		return nil, err
	}
	c.remember(key)
	return e.Payload, nil
}

// OpenKnown is Open that remembers plain envelopes too: for objects that come again and again as the same bytes. What is
// remembered is signer, type, payload and the very signature.
func (c *RootCache) OpenKnown(e Envelope, pub Public, t ObjectType) ([]byte, error) {
	if e.Path != nil {
		return c.Open(e, pub, t)
	}
	if err := e.check(pub, t); err != nil {
		return nil, err
	}
	key := Hash("known envelope", e.Signer[:], []byte(t), e.Payload, e.Signature)
	if c.known(key) {
		return e.Payload, nil
	}
	if err := pub.verify(string(t), e.Payload, e.Signature); err != nil {
		return nil, err
	}
	c.remember(key)
	return e.Payload, nil
}

// Stats returns how many envelopes found their root, or themselves, known and how many did not.
func (c *RootCache) Stats() (hits, misses uint64) {
	if c == nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits, c.misses
}

func (c *RootCache) known(key [32]byte) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.seen[key]
	if ok {
		c.hits++
	} else {
		c.misses++
	}
	return ok
}

func (c *RootCache) remember(key [32]byte) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.seen[key]; ok {
		return
	}
	if len(c.seen) == len(c.order) {
		delete(c.seen, c.order[c.next])
	}
	c.seen[key] = struct{}{}
	c.order[c.next] = key
	c.next = (c.next + 1) % len(c.order)
}
