# Inside a Godot 3 project: reads the scene that Godot's importer made of MODEL.glb, for read_godot.py.
extends SceneTree


func find_nodes(node, kind):
	var found = [node] if node.is_class(kind) else []
	for child in node.get_children():
		found += find_nodes(child, kind)
	return found


func list_rows(transform):
	var b = transform.basis
	var o = transform.origin
	return [[b.x.x, b.y.x, b.z.x, o.x], [b.x.y, b.y.y, b.z.y, o.y], [b.x.z, b.y.z, b.z.z, o.z], [0, 0, 0, 1]]


func list_vectors(vectors):
	var rows = []
	for v in vectors:
		rows.append([v.x, v.y, v.z] if v is Vector3 else [v.x, v.y])
	return rows


func list_globals(skeleton):
	var rows = []
	for bone in skeleton.get_bone_count():
		rows.append(list_rows(skeleton.get_bone_global_pose(bone)))
	return rows


func _initialize():
	var ask = parse("res://ask.json")
	var scene = load("res://model.glb").instance()
	get_root().add_child(scene)
	var mesh = find_nodes(scene, "MeshInstance")[0]
	var skeleton = find_nodes(scene, "Skeleton")[0]
	var arrays = mesh.mesh.surface_get_arrays(0)
	var binds = []
	for bind in mesh.skin.get_bind_count():
		var bone = mesh.skin.get_bind_bone(bind)
		if bone < 0:
			bone = skeleton.find_bone(mesh.skin.get_bind_name(bind))
		binds.append({"bone": bone, "pose": list_rows(mesh.skin.get_bind_pose(bind))})
	var bones = []
	for bone in skeleton.get_bone_count():
		bones.append({"name": skeleton.get_bone_name(bone), "parent": skeleton.get_bone_parent(bone)})
	var texture = mesh.mesh.surface_get_material(0).albedo_texture
	var clips = {}
	for player in find_nodes(scene, "AnimationPlayer"):
		for clip in player.get_animation_list():
			clips[clip] = []
			for time in ask["times"]:
				player.play(clip)
				player.seek(time, true)
				clips[clip].append(list_globals(skeleton))
			player.stop()
	var report = {
		"surfaces": mesh.mesh.get_surface_count(),
		"bones": bones, "binds": binds, "clips": clips,
		"positions": list_vectors(arrays[Mesh.ARRAY_VERTEX]),
		"normals": list_vectors(arrays[Mesh.ARRAY_NORMAL]),
		"uvs": list_vectors(arrays[Mesh.ARRAY_TEX_UV]),
		"indices": Array(arrays[Mesh.ARRAY_INDEX]),
		"joints": Array(arrays[Mesh.ARRAY_BONES]),
		"weights": Array(arrays[Mesh.ARRAY_WEIGHTS]),
		"texture": [texture.get_width(), texture.get_height()],
	}
	var file = File.new()
	file.open("res://report.json", File.WRITE)
	file.store_string(to_json(report))
	file.close()
	quit()


func parse(path):
	var file = File.new()
	file.open(path, File.READ)
	return parse_json(file.get_as_text())
