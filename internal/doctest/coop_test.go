package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root = "../.."
	page = "docs/coop.md"
)

// An index knows what the Go files of some folders declare: functions as F, methods as T.M, types, and the fields of
// structs and methods of interfaces as T.F; in which files, by their path from the root.
type index map[string][]string

func (ix index) add(name, file string) { ix[name] = append(ix[name], file) }

func indexOf(t *testing.T, folder string) index {
	t.Helper()
	ix := index{}
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		ix.addFile(f, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func (ix index) addFile(f *ast.File, file string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			ix.add(name, file)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					ix.add(spec.Name.Name, file)
					ix.addMembers(spec, file)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						ix.add(n.Name, file)
					}
				}
			}
		}
	}
}

func (ix index) addMembers(spec *ast.TypeSpec, file string) {
	var members *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		members = typ.Fields
	case *ast.InterfaceType:
		members = typ.Methods
	default:
		return
	}
	for _, m := range members.List {
		for _, n := range m.Names {
			ix.add(spec.Name.Name+"."+n.Name, file)
		}
	}
}

// receiver is the name of a method's type: T of *T, T[X] and the like.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

var (
	testName = regexp.MustCompile("`((?:Test|Example|Benchmark|Fuzz)[A-Z]\\w*)`")
	link     = regexp.MustCompile(`\[([^\]\n]*)\]\(([^)\s]+)\)`)
	inCode   = regexp.MustCompile(`\b(coop|coophttp)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	tableRow = regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \| (.*) \| ?(.*)\|$`)
)

func TestTestsThatThePageNamesExist(t *testing.T) {
	ix := indexOf(t, "coop")
	names := testName.FindAllStringSubmatch(read(t, page), -1)
	if len(names) < 100 {
		t.Errorf("the page names %d tests: is it read rightly?", len(names))
	}
	for _, m := range names {
		files := ix[m[1]]
		if len(files) == 0 {
			t.Errorf("there is no %s", m[1])
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				t.Errorf("%s is in %s, where no test is run", m[1], f)
			}
		}
	}
}

// A link to a Go file is named after something which that file declares.
func TestLinksOfThePageLeadWhereTheySay(t *testing.T) {
	text := read(t, page)
	ix := indexOf(t, "coop")
	anchors := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchors[anchor(m[1])] = true
	}
	toGo := 0
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		name, target := strings.Trim(m[1], "`"), m[2]
		switch {
		case strings.HasPrefix(target, "#"):
			if !anchors[target[1:]] {
				t.Errorf("no heading for %s", target)
			}
			continue
		case strings.Contains(target, "://"):
			continue
		}
		file := filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if filepath.Ext(file) != ".go" {
			continue
		}
		toGo++
		_, name, ok := strings.Cut("."+name, packageOf(file))
		if !ok || !slices.Contains(ix[name], file) {
			t.Errorf("%s does not declare %s", file, name)
		}
	}
	if toGo < 100 {
		t.Errorf("%d links to Go files: is the page read rightly?", toGo)
	}
}

// packageOf is how names of the file's package begin on the page.
func packageOf(file string) string {
	if strings.HasPrefix(file, "coop/coophttp/") {
		return ".coophttp."
	}
	return "."
}

// anchor is how a heading is linked to.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case strings.ContainsRune(",.:;`", r):
			return -1
		}
		return r
	}, strings.ToLower(heading))
}

// What the page's code and prose call coop.X exists.
func TestNamesOfThePageExist(t *testing.T) {
	coop, http := indexOf(t, "coop"), indexOf(t, "coop/coophttp")
	for _, m := range inCode.FindAllStringSubmatch(read(t, page), -1) {
		ix := coop
		if m[1] == "coophttp" {
			ix = http
		}
		if len(ix[m[2]]) == 0 {
			t.Errorf("there is no %s", m[0])
		}
	}
}

// Every behaviour has a line, and every line a test, or it says why not.
func TestEveryBehaviourHasATestOrAReason(t *testing.T) {
	const behaviours = 82
	seen := map[int]bool{}
	for _, m := range tableRow.FindAllStringSubmatch(read(t, page), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if seen[n] {
			t.Errorf("%d is there twice", n)
		}
		seen[n] = true
		if !testName.MatchString(m[4]) && !strings.HasPrefix(m[3], "not in Go: ") {
			t.Errorf("%d has neither a test nor a reason: %s", n, m[0])
		}
	}
	for n := range behaviours {
		if !seen[n+1] {
			t.Errorf("%d is missing", n+1)
		}
	}
	if len(seen) != behaviours {
		t.Errorf("%d behaviours: %v", len(seen), slices.Sorted(maps.Keys(seen)))
	}
}
