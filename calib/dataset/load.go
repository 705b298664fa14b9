package dataset

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The names of the tables in a set's folder.
const (
	NodesFile  = "nodes.csv"
	RTTFile    = "rtt.csv"
	RTTFileGZ  = "rtt.csv.gz"
	maxPacked  = 512 << 20 // bytes of a table, packed or not, before reading stops
	maxUnpacks = 2 << 30   // bytes of a table after unpacking
)

// Load reads the set in a folder; its name is the folder's.
func Load(dir string) (*Set, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !info.IsDir()) {
		return nil, tell(ErrMissing, "%s is no folder; name one that holds %s and %s or %s", dir, NodesFile, RTTFile, RTTFileGZ)
	}
	if err != nil {
		return nil, err
	}
	name := filepath.Base(dir)
	if abs, err := filepath.Abs(dir); err == nil {
		name = filepath.Base(abs)
	}
	return LoadFS(os.DirFS(dir), name)
}

// LoadFS reads the set at the root of a file system.
func LoadFS(fsys fs.FS, name string) (*Set, error) {
	nodes, err := loadNodes(fsys)
	if err != nil {
		return nil, err
	}
	s, err := New(name, nodes)
	if err != nil {
		return nil, err
	}
	plain, packed := exists(fsys, RTTFile), exists(fsys, RTTFileGZ)
	switch {
	case plain && packed:
		err = tell(ErrAmbiguous, "both %s and %s are in %s; keep the one that is meant", RTTFile, RTTFileGZ, name)
	case plain:
		err = s.loadRTT(fsys, RTTFile, plainText)
	case packed:
		err = s.loadRTT(fsys, RTTFileGZ, unpacked)
	default:
		err = tell(ErrMissing, "%s has neither %s nor %s (header %s)", name, RTTFile, RTTFileGZ, RTTHeader)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func loadNodes(fsys fs.FS) ([]Node, error) {
	f, err := fsys.Open(NodesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, tell(ErrMissing, "%s is missing (header %s)", NodesFile, NodesHeader)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadNodes(limited(f, maxPacked), NodesFile)
}

func (s *Set) loadRTT(fsys fs.FS, file string, open func(io.Reader) (io.Reader, error)) error {
	f, err := fsys.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := open(limited(f, maxPacked))
	if err != nil {
		return &LineError{file, 1, err}
	}
	return s.ReadRTT(r, file)
}

func plainText(r io.Reader) (io.Reader, error) { return r, nil }

func unpacked(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, tell(ErrGzip, "not a gzip file; pack it with gzip or name it %s", RTTFile)
	}
	return limited(gzipErrors{z}, maxUnpacks), nil
}

// gzipErrors turns what unpacking reports into the package's own sentinel, in one line.
type gzipErrors struct{ r io.Reader }

func (g gzipErrors) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = tell(ErrGzip, "the gzip file is cut off or damaged here; pack it again")
	}
	return n, err
}

// limit reads at most n bytes and then fails, where io.LimitReader would pretend that the file ends there.
type limit struct {
	r io.Reader
	n int64
}

func limited(r io.Reader, n int64) io.Reader { return &limit{r, n} }

func (l *limit) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, tell(ErrTooLarge, "the table is larger than a data set may be")
	}
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.r.Read(p)
	l.n -= int64(n)
	return n, err
}

func exists(fsys fs.FS, file string) bool {
	_, err := fs.Stat(fsys, file)
	return err == nil
}
