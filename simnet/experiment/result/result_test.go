package result_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
)

func header() result.Header {
	return result.Header{Format: 1, Name: "try", About: "<one> for tests", Hash: "0123456789abcdef", Build: "test", Of: 1, PerLine: 2, Keys: []string{"f", "seed"},
		Points: []result.PointHead{{Values: []string{"0", "1"}, Cores: 5}, {Values: []string{"1", "1"}, Cores: 2}, {Values: []string{"2", "1"}, Cores: 1}}}
}

// chunk draws the result of some work; the same work always has the same.
func chunk(w result.Work) result.Chunk {
	rnd := rand.New(rand.NewPCG(uint64(w.Chunk), 5))
	c := result.Chunk{Chunk: w.Chunk}
	var t result.Tally
	for core := w.From; core < w.To; core++ {
		x := trial(rnd)
		t.Add(x)
		if x.False {
			c.Remember(core)
		}
		c.Spots = append(c.Spots, result.Spot{Lat4: rnd.Int32N(900_000), Lon4: -rnd.Int32N(1_800_000), State: result.State(rnd.IntN(4))})
	}
	c.Series = []result.Series{{Name: "b", Tally: t}, {Name: "a", Tally: t}}
	return c
}

func trial(rnd *rand.Rand) result.Trial {
	x := result.Trial{Entitled: rnd.IntN(2) == 0, Attacked: rnd.IntN(2) == 0, Judged: rnd.IntN(9) > 0, Kind: verdict.Kind(rnd.IntN(4)), Detected: rnd.IntN(3) == 0,
		Missed: rnd.IntN(9) == 0, RegionKM2: rnd.ExpFloat64() * 1e6, HasRegion: rnd.IntN(2) == 0, ErrorKM: rnd.ExpFloat64() * 100, HasError: rnd.IntN(2) == 0}
	x.False = x.Judged && x.Kind == verdict.Inside && !x.Entitled
	return x
}

func journal(t testing.TB, h result.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := result.Begin(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range h.Mine() {
		if err := w.Append(chunk(work)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func decode(t testing.TB, text []byte) *result.Journal {
	t.Helper()
	j, err := result.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestCutAnywhere: cut a journal at every byte; what is read is the whole lines before the cut, and writing on gives the same bytes.
func TestCutAnywhere(t *testing.T) {
	h := header()
	want := journal(t, h)
	head := bytes.IndexByte(want, '\n') + 1
	for cut := range len(want) + 1 {
		j, err := result.Decode(want[:cut])
		if cut < head {
			if !errors.Is(err, result.ErrHeader) {
				t.Fatalf("cut at %d, in the header: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if whole := bytes.Count(want[:cut], []byte("\n")) - 1; len(j.Chunks) != whole || j.Size != bytes.LastIndexByte(want[:cut], '\n')+1 {
			t.Fatalf("cut at %d: %d chunks of %d, %d bytes", cut, len(j.Chunks), whole, j.Size)
		}
		b := bytes.NewBuffer(slices.Clone(want[:j.Size]))
		w := result.Continue(b, j)
		for _, work := range h.Mine()[len(j.Chunks):] {
			if err := w.Append(chunk(work)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Fatalf("cut at %d: other bytes", cut)
		}
	}
}

// TestAFlippedBitIsNoResult: no change of one bit is read as another result; before the last line it is called damage.
func TestAFlippedBitIsNoResult(t *testing.T) {
	want := journal(t, header())
	whole := decode(t, want)
	last := bytes.LastIndexByte(want[:len(want)-1], '\n') + 1
	for at := range want {
		text := slices.Clone(want)
		text[at] ^= 1 << (at % 8)
		j, err := result.Decode(text)
		switch {
		case err != nil && (errors.Is(err, result.ErrDamaged) || errors.Is(err, result.ErrHeader)):
		case err != nil:
			t.Fatalf("bit at %d: %v", at, err)
		case at < last-1: // the line break before the last line belongs to the line before
			t.Fatalf("bit at %d of the last line at %d went unnoticed", at, last)
		case len(j.Chunks) >= len(whole.Chunks):
			t.Fatalf("bit at %d: the last line was taken", at)
		}
	}
	for _, more := range []string{"x", "\n", "00000000 {}\n"} {
		if _, err := result.Decode(append(slices.Clone(want), more...)); !errors.Is(err, result.ErrDamaged) {
			t.Errorf("%q after the end: %v", more, err)
		}
	}
}

// TestHeadersThatAreNone: a header that no run writes is refused before anything is laid out by it.
func TestHeadersThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*result.Header){
		"format":           func(h *result.Header) { h.Format = 2 },
		"no shard":         func(h *result.Header) { h.Of = 0 },
		"shard beyond":     func(h *result.Header) { h.Shard = 1 },
		"negative shard":   func(h *result.Header) { h.Shard = -1 },
		"no cores a line":  func(h *result.Header) { h.PerLine = 0 },
		"no points":        func(h *result.Header) { h.Points = nil },
		"no cores":         func(h *result.Header) { h.Points[1].Cores = 0 },
		"too many chunks":  func(h *result.Header) { h.PerLine, h.Points[0].Cores = 1, 1<<40 },
		"values, not keys": func(h *result.Header) { h.Points[2].Values = nil },
	} {
		h := header()
		change(&h)
		if _, err := result.Begin(&bytes.Buffer{}, h); !errors.Is(err, result.ErrHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpenKeepsAndRefuses: what Open finds it keeps when it is of the same run, and refuses otherwise.
func TestOpenKeepsAndRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	h := header()
	for round := range 3 { // made, found empty, found with a chunk
		w, j, f, err := result.Open(path, h)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(0, round-1); len(j.Chunks) != want {
			t.Errorf("round %d: %d chunks", round, len(j.Chunks))
		}
		if round == 1 {
			if err := w.Append(chunk(h.Mine()[0])); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	for name, change := range map[string]func(*result.Header){
		"hash":  func(h *result.Header) { h.Hash = "f" },
		"build": func(h *result.Header) { h.Build = "later" },
		"shard": func(h *result.Header) { h.Of = 2 },
		"about": func(h *result.Header) { h.About = "otherwise" },
	} {
		other := header()
		change(&other)
		if _, _, _, err := result.Open(path, other); !errors.Is(err, result.ErrOther) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// TestMergeRefuses: other experiments, missing shards, and shards that contradict each other.
func TestMergeRefuses(t *testing.T) {
	shard := func(i, n int) *result.Journal {
		h := header()
		h.Shard, h.Of = i, n
		return decode(t, journal(t, h))
	}
	if _, err := result.Merge(); !errors.Is(err, result.ErrShards) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := result.Merge(shard(0, 3), shard(2, 3)); !errors.Is(err, result.ErrShards) {
		t.Errorf("two of three: %v", err)
	}
	other := header()
	other.Build = "later"
	if _, err := result.Merge(shard(0, 2), decode(t, journal(t, other))); !errors.Is(err, result.ErrShards) {
		t.Errorf("two builds: %v", err)
	}
	liar := shard(0, 1)
	liar.Chunks[2].Series[0].Tally.Cores++
	if _, err := result.Merge(shard(0, 1), liar); !errors.Is(err, result.ErrShards) {
		t.Errorf("a contradiction: %v", err)
	}
	if _, err := result.Merge(shard(1, 2), shard(0, 1)); err != nil {
		t.Errorf("a shard and the whole: %v", err)
	}
}

// TestTalliesKnowNoOrder: however trials are divided and added up, the sum is the same.
func TestTalliesKnowNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n := rapid.IntRange(0, 200).Draw(t, "trials")
		var whole result.Tally
		parts := make([]result.Tally, 1+rapid.IntRange(0, 5).Draw(t, "parts"))
		for range n {
			x := trial(rnd)
			whole.Add(x)
			parts[rnd.IntN(len(parts))].Add(x)
		}
		rnd.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var sum result.Tally
		for _, p := range parts {
			sum.Merge(p)
		}
		a, errA := json.Marshal(whole)
		b, errB := json.Marshal(sum)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("%s\n%s", a, b)
		}
	})
}

// TestQuantilesAgainstSorting: a histogram's quantile lies within a bin of the sorted values'.
func TestQuantilesAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h result.Histogram
		values := rapid.SliceOfN(rapid.Float64Range(0.02, 1e9), 1, 300).Draw(t, "values")
		for _, v := range values {
			h.Add(v)
		}
		slices.Sort(values)
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		want := values[int(math.Ceil(q*float64(len(values))))-1]
		got, ok := h.Quantile(q)
		if !ok || math.Abs(math.Log(got/want)) > math.Log(10)/64*1.001 {
			t.Fatalf("quantile %v of %v: %v, %v", q, values, got, want)
		}
		steps := h.CDF()
		if last := steps[len(steps)-1]; last.Y != 1 || !slices.IsSortedFunc(steps, func(a, b result.Step) int { return int(math.Copysign(1, b.Y-a.Y)) * -1 }) {
			t.Fatalf("%v", steps)
		}
	})
	var none result.Histogram
	if _, ok := none.Quantile(0.5); ok {
		t.Error("a quantile of nothing")
	}
}

// TestWilson against the values of Newcombe, Stat. Med. 17 (1998), table I.
func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		k, n      int64
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}} {
		x := result.Wilson(tt.k, tt.n)
		if !x.Known || math.Abs(x.Low-tt.low) > 5e-5 || math.Abs(x.High-tt.high) > 5e-5 {
			t.Errorf("%d of %d: %+v, want %v to %v", tt.k, tt.n, x, tt.low, tt.high)
		}
	}
	if result.Wilson(0, 0).Known {
		t.Error("a share of nothing is known")
	}
}

// TestPoolIsNoNarrower: the interval over seeds holds Wilson's, widens when seeds differ, and is the same for the same source.
func TestPoolIsNoNarrower(t *testing.T) {
	rnd := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	even := result.Pool([]int64{50, 51, 49}, []int64{100, 100, 100}, rnd())
	uneven := result.Pool([]int64{10, 90, 50}, []int64{100, 100, 100}, rnd())
	all := result.Wilson(150, 300)
	if even.Low > all.Low || even.High < all.High || uneven.High-uneven.Low < 2*(all.High-all.Low) || even.Share != uneven.Share {
		t.Errorf("all %+v, even %+v, uneven %+v", all, even, uneven)
	}
	if again := result.Pool([]int64{10, 90, 50}, []int64{100, 100, 100}, rnd()); again != uneven {
		t.Errorf("%+v, then %+v", uneven, again)
	}
	if two := result.Pool([]int64{10, 90}, []int64{100, 100}, rnd()); two != result.Wilson(100, 200) {
		t.Errorf("two seeds: %+v", two)
	}
}

// FuzzDecode: no text makes the decoder panic or answer with what does not encode to the same bytes.
func FuzzDecode(f *testing.F) {
	whole := journal(f, header())
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := result.Decode(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		w, err := result.Begin(&b, j.Header)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range j.Chunks {
			if err := w.Append(c); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b.Bytes(), text[:j.Size]) {
			t.Fatalf("%q became %q", text[:j.Size], b.Bytes())
		}
	})
}
