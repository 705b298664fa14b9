package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the longest line of a table in bytes.
const MaxLine = 64 << 10

// table reads lines of comma-separated values with a known header. Each record is one line (RFC 4180 without line breaks in
// fields), which bounds memory and makes every line number right.
type table struct {
	file   string
	header []string
	source *faults
	lines  *bufio.Scanner
	line   int
	fields []string
}

// newTable reads and checks the header; a byte order mark before it, as spreadsheets write, is let pass.
func newTable(r io.Reader, file, header string) (*table, error) {
	source := &faults{r: r}
	t := &table{file: file, header: strings.Split(header, ","), source: source, lines: bufio.NewScanner(source)}
	t.lines.Buffer(make([]byte, 0, 4096), MaxLine)
	if err := t.scan(); err != nil {
		if errors.Is(err, io.EOF) {
			t.line = 1
			return nil, t.wrong(tell(ErrHeader, "the file is empty; its first line must be %s", header))
		}
		return nil, err
	}
	if got := strings.TrimPrefix(strings.TrimSuffix(t.lines.Text(), "\r"), "\ufeff"); got != header {
		return nil, t.wrong(tell(ErrHeader, "header %s must be exactly %s", shown(got), header))
	}
	return t, nil
}

// next returns the fields of the next line that is not blank, valid until the next call, and io.EOF at the end.
func (t *table) next() ([]string, error) {
	for {
		if err := t.scan(); err != nil {
			return nil, err
		}
		raw := bytes.TrimSuffix(t.lines.Bytes(), []byte("\r"))
		if len(raw) == 0 {
			continue
		}
		if err := t.split(raw); err != nil {
			return nil, t.wrong(err)
		}
		if len(t.fields) != len(t.header) {
			return nil, t.wrong(tell(ErrFields, "%d fields where %d are wanted: %s", len(t.fields), len(t.header), strings.Join(t.header, ",")))
		}
		return t.fields, nil
	}
}

func (t *table) scan() error {
	t.line++
	more := t.lines.Scan()
	switch {
	case t.source.err != nil: // before the line: a fault may have cut it short
		return t.wrong(t.source.err)
	case more:
		return nil
	case errors.Is(t.lines.Err(), bufio.ErrTooLong):
		return t.wrong(tell(ErrTooLarge, "line is longer than %d bytes", MaxLine))
	case t.lines.Err() != nil:
		return t.wrong(t.lines.Err())
	}
	return io.EOF
}

// faults remembers why reading stopped, since bufio.Scanner hands out what it has as a last line before it tells.
type faults struct {
	r   io.Reader
	err error
}

func (f *faults) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func (t *table) split(raw []byte) error {
	t.fields = t.fields[:0]
	line := string(raw)
	if !printable(line) {
		return tell(ErrText, "line is not printable UTF-8 text (a control character or a wrong encoding)")
	}
	if !strings.Contains(line, `"`) { // the usual case, and ten times faster
		for rest, more := line, true; more; {
			var f string
			f, rest, more = strings.Cut(rest, ",")
			t.fields = append(t.fields, f)
		}
		return nil
	}
	r := csv.NewReader(strings.NewReader(line))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	if err != nil {
		return tell(ErrQuote, "quotation marks do not match; write \"a, \"\"b\"\"\" for a, \"b\"")
	}
	t.fields = append(t.fields, fields...)
	return nil
}

func (t *table) wrong(err error) error { return &LineError{t.file, t.line, err} }

// printable says that s is valid UTF-8 without control characters.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, unicode.IsControl) < 0
}
