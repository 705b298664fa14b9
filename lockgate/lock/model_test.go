package lock_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// The exhaustive model: every state that a lock can reach in a small world, by
// every event, until nothing new appears. In the world there are as many nonces
// as asked, leases of one unit, of two, and of two in two steps for each of them,
// all replayable at any time in any order, their step keys, work, halts, and
// power cuts that find any version of the words ever written in either slot: the
// newest, an older one (a write was lost, or an image restored), or a torn one.
//
// Beside the lock walks its twin, which is the table of the package comment and
// nothing else; after each event both must agree. The promises: no lease is
// accepted twice, and work never exceeds the units of the leases accepted.

// twin is the table: what the lock lets through, and what it waits for.
type twin struct {
	spoilt bool
	active bool
	a      lock.Units
	out    int // index of the outstanding nonce; -1: none
	chain  int // index of the nonce whose second step is not open; -1: none
}

var off = twin{out: -1, chain: -1}

func (w twin) idle() twin {
	w.active, w.a, w.out, w.chain = false, 0, -1, -1
	return w
}

func (w twin) add(u lock.Units) twin {
	w.a = min(w.a+u, cfg.Cap)
	w.active = true
	return w
}

// small is a world: the lock, its twin, and all that was ever said and written.
type small struct {
	s        lock.State
	w        twin
	nonces   [3]lock.Nonce // ever issued
	issued   int           // so many
	accepted uint8         // by index of the nonce
	written  string
	granted  lock.Units
	worked   lock.Units
}

// model explores.
type model struct {
	t     *testing.T
	most  int // nonces
	seen  map[small]bool
	found []small
	hard  map[string]int // cases by name
}

func TestModel(t *testing.T) {
	m := &model{t: t, most: 3, seen: map[small]bool{}, hard: map[string]int{}}
	if testing.Short() {
		m.most = 2 // under the race detector, which this pure package does not need
	}
	m.visit(small{s: boot(t), w: off})
	steps := 0
	for len(m.found) > 0 {
		x := m.found[len(m.found)-1]
		m.found = m.found[:len(m.found)-1]
		steps += m.step(x)
	}
	t.Logf("%d nonces: %d states, %d steps, all there are; %v", m.most, len(m.seen), steps, m.hard)
	for _, c := range []string{"replay", "replay of an accepted lease", "power cut", "torn", "spoilt", "older image", "second step", "cap"} {
		if m.hard[c] == 0 {
			t.Errorf("it never happened: %s", c)
		}
	}
}

// visit checks a world that was reached and keeps it when it is new.
func (m *model) visit(x small) {
	m.t.Helper()
	if x.worked > x.granted {
		m.t.Fatalf("worked %d of %d granted", x.worked, x.granted)
	}
	checkAccount(m.t, x.s)
	_, open := x.s.Outstanding()
	if (x.s.Phase() == lock.Active) != x.w.active || x.s.Allowance() != x.w.a || open != (x.w.out >= 0) {
		m.t.Fatalf("the lock is %v with %d, nonce %v; the table says %+v", x.s.Phase(), x.s.Allowance(), open, x.w)
	}
	if !m.seen[x] {
		m.seen[x] = true
		m.found = append(m.found, x)
	}
}

// version is what was written as the i-th; nil when there is none.
func (x small) version(i int) []byte {
	if i < 0 {
		return nil
	}
	return []byte(x.written[i*lock.WordsSize : (i+1)*lock.WordsSize])
}

// step goes on from a world in every way and counts them.
func (m *model) step(x small) int { return m.ask(x) + m.feed(x) + m.open(x) + m.work(x) + m.cut(x) }

// ask issues a nonce. Entropy is fresh on every ask; the sequence may repeat
// after a lost write.
func (m *model) ask(x small) int {
	if x.issued == m.most {
		return 0
	}
	next, out, err := x.s.Step(lock.Ask{Entropy: [32]byte{byte(x.issued + 1)}})
	x.s = next
	if x.w.spoilt {
		if err == nil {
			m.t.Fatal("a lock with spoilt words asks")
		}
		m.visit(x)
		return 1
	}
	if err != nil {
		m.t.Fatal(err)
	}
	n, _ := next.Outstanding()
	for _, old := range x.nonces[:x.issued] {
		if old == n {
			m.t.Fatal("a nonce was issued twice")
		}
	}
	x.nonces[x.issued], x.w.out = n, x.issued
	x.issued++
	x.written += string(out.Persist)
	m.visit(x)
	return 1
}

// feed tries every lease for every nonce ever issued.
func (m *model) feed(x small) int {
	steps := 0
	for i, n := range x.nonces[:x.issued] {
		inSteps, _ := stepped(n, 2, 2)
		for k, f := range []lock.Feed{lease(n, 1), lease(n, 2), inSteps} {
			y := x
			next, out, err := x.s.Step(f)
			y.s, steps = next, steps+1
			good := x.w.out == i
			if (err == nil) != good {
				m.t.Fatalf("nonce %d, outstanding %d: %v", i, x.w.out, err)
			}
			if !good {
				m.hard["replay"]++
				if x.accepted&(1<<i) != 0 {
					m.hard["replay of an accepted lease"]++
				}
				y.w = y.w.idle()
				m.visit(y)
				continue
			}
			if x.accepted&(1<<i) != 0 {
				m.t.Fatal("a key was accepted twice")
			}
			units := f.Grant.Units
			y.accepted |= 1 << i
			y.granted += units
			y.written += string(out.Persist)
			y.w.out, y.w.chain = -1, -1
			first := units
			if k == 2 {
				first, y.w.chain = 1, i
			}
			if y.w.a+first > cfg.Cap {
				m.hard["cap"]++
			}
			y.w = y.w.add(first)
			m.visit(y)
		}
	}
	return steps
}

// open tries the second key of every lease that there ever was, and no key.
func (m *model) open(x small) int {
	for i := range x.issued + 1 {
		y := x
		var key lock.Key
		if i < x.issued {
			_, keys := stepped(x.nonces[i], 2, 2)
			key = keys[1]
		}
		next, _, err := x.s.Step(lock.Open{Key: key})
		good := x.w.chain == i
		if (err == nil) != good {
			m.t.Fatalf("the second key of lease %d, waiting for that of %d: %v", i, x.w.chain, err)
		}
		y.s = next
		if good {
			m.hard["second step"]++
			y.w.chain = -1
			y.w = y.w.add(1)
		} else {
			y.w = y.w.idle()
		}
		m.visit(y)
	}
	return x.issued + 1
}

// work draws one unit and two, and halts.
func (m *model) work(x small) int {
	for _, u := range []lock.Units{1, 2} {
		y := x
		y.s, _, _ = x.s.Step(lock.Work{Units: u})
		y.worked += min(u, x.w.a)
		switch {
		case !x.w.active:
			y.w = x.w.idle()
		case u < x.w.a:
			y.w.a -= u
		default: // dry: nonce and chain are kept
			y.w.a, y.w.active = 0, false
		}
		m.visit(y)
	}
	y := x
	y.s, _, _ = x.s.Step(lock.Halt{})
	y.w = x.w.idle()
	m.visit(y)
	return 3
}

// cut turns the power off and on: the slots hold any version with the one before
// it, whole or torn.
func (m *model) cut(x small) int {
	steps := 0
	versions := len(x.written) / lock.WordsSize
	for i := -1; i < versions; i++ {
		for _, torn := range []bool{false, true} {
			if i < 0 && torn {
				continue
			}
			newest, before := x.version(i), x.version(max(i, 0)-1)
			if torn {
				newest[20] ^= 4
				m.hard["torn"]++
			}
			if i < versions-1 {
				m.hard["older image"]++
			}
			y := x
			var err error
			y.s, err = lock.Boot(cfg, newest, before)
			y.w = off
			if torn && before == nil {
				y.w.spoilt = true
				m.hard["spoilt"]++
			}
			if (err != nil) != y.w.spoilt {
				m.t.Fatalf("power on with version %d, torn %v: %v", i, torn, err)
			}
			m.hard["power cut"]++
			steps++
			m.visit(y)
		}
	}
	return steps
}
