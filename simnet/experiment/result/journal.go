package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Errors of journals.
var (
	ErrHeader  = errors.New("no journal of an experiment")
	ErrDamaged = errors.New("journal is damaged")
	ErrOther   = errors.New("journal of another run")
	ErrShards  = errors.New("shards do not make one experiment")
)

// Limits of a journal.
const (
	maxPoints   = 20_000
	maxChunks   = 2_000_000
	maxSeries   = 64
	maxLine     = 64 << 20
	maxExamples = 3 // false accepts that a chunk remembers
)

// PointHead is one point as a journal's header has it.
type PointHead struct {
	Values []string `json:"values"` // of Header.Keys
	Cores  int      `json:"cores"`
}

// Drawing says how results are drawn; empty fields are chosen from what is varied.
type Drawing struct {
	X     string  `json:"x,omitempty"`
	By    string  `json:"by,omitempty"`
	Facet string  `json:"facet,omitempty"`
	Share float64 `json:"share"`
}

// Header is the first line of a journal: all that a report needs beside the trials.
type Header struct {
	Format  int         `json:"ursa_experiment"` // 1
	Name    string      `json:"name"`
	About   string      `json:"about"`
	Hash    string      `json:"hash"`  // of the experiment
	Build   string      `json:"build"` // of the program
	Expect  string      `json:"expect"`
	Shard   int         `json:"shard"` // 0 ≤ Shard < Of
	Of      int         `json:"of"`
	PerLine int         `json:"per_line"` // cores in one chunk, at most
	Keys    []string    `json:"keys"`
	Points  []PointHead `json:"points"`
	Drawing Drawing     `json:"chart"`
}

// Work is one chunk of trials: cores From up to To (exclusive) of a point.
type Work struct{ Chunk, Point, From, To int }

// Layout lists the chunks of the whole experiment, in order.
func (h *Header) Layout() (all []Work) {
	for p, point := range h.Points {
		for from := 0; from < point.Cores; from += h.PerLine {
			all = append(all, Work{len(all), p, from, min(from+h.PerLine, point.Cores)})
		}
	}
	return all
}

// Mine lists the chunks of the header's shard, in order: every Of-th.
func (h *Header) Mine() (mine []Work) {
	for _, w := range h.Layout() {
		if w.Chunk%h.Of == h.Shard {
			mine = append(mine, w)
		}
	}
	return mine
}

func (h *Header) validate() error {
	chunks := 0
	if h.Format != 1 || h.Of < 1 || h.Shard < 0 || h.Shard >= h.Of || h.PerLine < 1 || len(h.Points) == 0 || len(h.Points) > maxPoints {
		return ErrHeader
	}
	for _, p := range h.Points {
		if p.Cores < 1 || p.Cores > maxCount || len(p.Values) != len(h.Keys) {
			return ErrHeader
		}
		if chunks += (p.Cores-1)/h.PerLine + 1; chunks > maxChunks {
			return ErrHeader
		}
	}
	return nil
}

// same says whether two headers belong to one experiment and build, whatever their shard.
func (h *Header) same(o *Header) bool {
	a, b := *h, *o
	a.Shard, a.Of, b.Shard, b.Of = 0, 1, 0, 1
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// Series is the tally of one series of a point: the empty name for verdicts, a method's name for estimates.
type Series struct {
	Name  string `json:"name,omitempty"`
	Tally Tally  `json:"tally"`
}

// Spot is where a core stood and what was found, for the map. Degrees times 10^4.
type Spot struct {
	Lat4, Lon4 int32
	State      State
}

// State is what the map shows of a core.
type State uint8

// The states.
const (
	Unproven State = iota
	Proven
	Rejected    // an intruder, denied
	FalseAccept // an intruder, accepted
)

// MarshalJSON writes three numbers.
func (s Spot) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]int32{s.Lat4, s.Lon4, int32(s.State)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Spot) UnmarshalJSON(text []byte) error {
	var n []int32
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if len(n) != 3 || max(n[0], -n[0]) > 90e4 || max(n[1], -n[1]) > 180e4 || n[2] < 0 || n[2] > int32(FalseAccept) {
		return errTally
	}
	*s = Spot{n[0], n[1], State(n[2])}
	return nil
}

// Chunk is the result of one Work.
type Chunk struct {
	Chunk  int      `json:"chunk"`
	Series []Series `json:"series"`
	Spots  []Spot   `json:"spots,omitempty"`
	False  []int    `json:"false,omitempty"` // the first cores that were falsely accepted
}

// Remember notes a core that was falsely accepted, if there is room.
func (c *Chunk) Remember(core int) {
	if len(c.False) < maxExamples {
		c.False = append(c.False, core)
	}
}

func (c *Chunk) validate(w Work) error {
	if c.Chunk != w.Chunk || len(c.Series) == 0 || len(c.Series) > maxSeries || len(c.Spots) > w.To-w.From || len(c.False) > maxExamples {
		return errTally
	}
	for i := range c.Series {
		if err := c.Series[i].Tally.validate(); err != nil {
			return err
		}
	}
	for _, core := range c.False {
		if core < w.From || core >= w.To {
			return errTally
		}
	}
	return nil
}

// Journal is what a file of results says.
type Journal struct {
	Header Header
	Chunks []Chunk // the first of the shard's, in order
	Size   int     // bytes of the whole lines
	sum    uint32  // over these bytes
}

// Whole says whether every chunk of the shard is there.
func (j *Journal) Whole() bool { return len(j.Chunks) == len(j.Header.Mine()) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// line frames a value: the checksum over everything before and the JSON, a space, the JSON, a newline.
func line(sum uint32, v any) ([]byte, uint32, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, 0, err
	}
	sum = crc32.Update(sum, castagnoli, text)
	return fmt.Appendf(nil, "%08x %s\n", sum, text), sum, nil
}

// next cuts the first line off a text and checks it. whole is false when the line does not end or is not what its checksum says.
func next(text []byte, sum uint32) (content []byte, size int, newSum uint32, whole bool) {
	end := bytes.IndexByte(text, '\n')
	if end < 10 || end > maxLine || text[8] != ' ' {
		return nil, max(0, end+1), 0, false
	}
	content = text[9:end]
	newSum = crc32.Update(sum, castagnoli, content)
	return content, end + 1, newSum, fmt.Sprintf("%08x", newSum) == string(text[:8])
}

// Decode reads a journal. What an interrupted write left at the end is cut off and is no error; what is wrong before the end is
// ErrDamaged. A text that holds no whole header is ErrHeader.
func Decode(text []byte) (*Journal, error) {
	content, size, sum, whole := next(text, 0)
	if !whole {
		return nil, fmt.Errorf("%w: its first line is incomplete", ErrHeader)
	}
	j := &Journal{Size: size, sum: sum}
	if err := strict(content, &j.Header); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if err := j.Header.validate(); err != nil {
		return nil, err
	}
	for _, w := range j.Header.Mine() {
		content, size, sum, whole := next(text[j.Size:], j.sum)
		if !whole {
			if size > 0 && j.Size+size < len(text) {
				return nil, fmt.Errorf("%w: line %d is wrong and others follow; delete the file and run again", ErrDamaged, len(j.Chunks)+2)
			}
			return j, nil
		}
		var c Chunk
		if err := errors.Join(strict(content, &c), c.validate(w)); err != nil {
			return nil, fmt.Errorf("%w: line %d: no result of chunk %d", ErrDamaged, len(j.Chunks)+2, w.Chunk)
		}
		j.Chunks, j.Size, j.sum = append(j.Chunks, c), j.Size+size, sum
	}
	if j.Size < len(text) {
		return nil, fmt.Errorf("%w: %d bytes after its end", ErrDamaged, len(text)-j.Size)
	}
	return j, nil
}

// strict decodes exactly what marshalling gives: the same bytes come out again.
func strict(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return errors.New("not the JSON of this program")
	}
	again, err := json.Marshal(v)
	if err != nil || !bytes.Equal(again, text) {
		return errors.New("not the JSON of this program")
	}
	return nil
}

// Writer appends to a journal.
type Writer struct {
	w   io.Writer
	sum uint32
}

// Begin writes the header of a new journal.
func Begin(w io.Writer, h Header) (*Writer, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	text, sum, err := line(0, h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	return &Writer{w, sum}, nil
}

// Continue appends to the journal that was read, whose whole lines w must stand after.
func Continue(w io.Writer, j *Journal) *Writer { return &Writer{w, j.sum} }

// Append writes one chunk, in one write.
func (w *Writer) Append(c Chunk) error {
	text, sum, err := line(w.sum, c)
	if err != nil {
		return err
	}
	if _, err := w.w.Write(text); err != nil {
		return err
	}
	w.sum = sum
	return nil
}
