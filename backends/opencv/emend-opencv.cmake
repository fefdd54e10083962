find_dependency(OpenCV COMPONENTS core)
